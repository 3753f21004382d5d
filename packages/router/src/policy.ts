import type { Clock, EngineLoad, EngineProfile, InFlight, Random, Worker } from '@kvfleet/core'
import type { RoutingRequest } from './routing-request.js'

/**
 * One place that could serve the request: a data-parallel rank of an eligible worker. What a worker tells is here at
 * hand; the rest is behind `worker`.
 */
export interface Candidate {
  readonly worker: Worker
  readonly rank: number
  readonly id: string
  readonly readyAt: number
  readonly blockSize: number
  readonly labels: Readonly<Record<string, string>>
  readonly profile: EngineProfile | undefined
  /** From the fleet's ledger: exact and current. */
  readonly inFlight: InFlight
  /** From the engine: late by the probe interval. */
  readonly load: EngineLoad | undefined
}

/** How much of the prompt a candidate already holds. */
export interface PrefixOverlap {
  /** Leading full blocks of the prompt that the candidate holds, as the index knows. */
  readonly blocks: number
  /** The same in tokens, never more than promptTokens - 1: an engine computes at least the last token. */
  readonly tokens: number
}

/** Everything besides request and candidate that a strategy may look at. */
export interface PolicyContext {
  readonly clock: Clock
  readonly random: Random
  /** How many decisions the router has made before this one. */
  readonly sequence: number
  /**
   * Zero for every candidate when there is no index or no tokens; computed once per decision. There is an index only if
   * some part of the policy `wants` kv-events; a part that asks without saying so makes the decision say `no-kv-events`.
   */
  overlap(candidate: Candidate): PrefixOverlap
}

/**
 * Inputs a strategy cannot do without. The router checks them at start (ROUTE_NEEDS_MISSING) unless it can degrade,
 * which it then says in every decision's reasons.
 */
export type PolicyNeed = 'kv-events' | 'tokens' | 'engine-load'

/** Takes candidates out. */
export interface Filter {
  readonly name: string
  readonly wants?: readonly PolicyNeed[]
  /** undefined keeps the candidate; a text says why it is out. */
  exclude(request: RoutingRequest, candidate: Candidate, context: PolicyContext): string | undefined
}

/** Prefers some candidates over others. Pure: no clock, chance or memory but the context's. */
export interface Scorer {
  readonly name: string
  readonly wants?: readonly PolicyNeed[]
  /** 0 (worst) to 1 (best); values outside are clamped, NaN counts as 0. */
  score(request: RoutingRequest, candidate: Candidate, context: PolicyContext): number
  /** The numbers behind a score, units in their names; only called for `explain()`. */
  detail?(request: RoutingRequest, candidate: Candidate, context: PolicyContext): Readonly<Record<string, number>>
}

export interface ScoredCandidate {
  readonly candidate: Candidate
  /** Weighted sum of the scores. */
  readonly total: number
  /** By scorer name, before weighting. */
  readonly scores: Readonly<Record<string, number>>
}

/** Chooses one of the candidates that are left; `scored` is never empty and in the fleet's order. */
export interface Picker {
  readonly name: string
  readonly wants?: readonly PolicyNeed[]
  pick(scored: readonly ScoredCandidate[], context: PolicyContext): ScoredCandidate
}

export interface WeightedScorer {
  readonly scorer: Scorer
  /** Positive. */
  readonly weight: number
}

/** A policy is only wiring: filters, then weighted scorers, then a picker. */
export interface Policy {
  readonly name: string
  readonly filters: readonly Filter[]
  readonly scorers: readonly WeightedScorer[]
  readonly picker: Picker
}
