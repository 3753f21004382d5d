import type { EngineLoad } from '@kvfleet/core'
import type { Candidate, PrefixOverlap, ScoredCandidate, WeightedScorer } from '../policy.js'

const BLOCKS = 0
const TOKENS = 1
const REQUESTS = 2
const WAITING_REQUESTS = 3
const WAITING_PREFILL_TOKENS = 4
const KV_TOKENS = 5
const TOTAL = 6
const FIRST_SCORE = 7

/** Live numbers of one candidate, frozen at the decision. */
export interface CapturedRow {
  readonly blocks: number
  readonly tokens: number
  readonly requests: number
  readonly waitingRequests: number
  readonly waitingPrefillTokens: number
  readonly kvTokens: number
  readonly total: number
}

/**
 * What a decision saw, one row of numbers a candidate: one typed array instead of objects, so that every decision can
 * afford to be explained and only those that are asked pay for it.
 */
export class EvaluationRecord {
  readonly loads: (EngineLoad | undefined)[]
  private readonly rows: Float64Array
  private readonly stride: number

  constructor(
    readonly candidates: readonly Candidate[],
    readonly scorers: readonly WeightedScorer[],
  ) {
    this.stride = FIRST_SCORE + scorers.length
    this.rows = new Float64Array(candidates.length * this.stride)
    this.loads = new Array<EngineLoad | undefined>(candidates.length)
  }

  capture(position: number, candidate: Candidate, { blocks, tokens }: PrefixOverlap): void {
    const at = position * this.stride
    const { requests, waitingRequests, waitingPrefillTokens, kvTokens } = candidate.inFlight
    this.rows[at + BLOCKS] = blocks
    this.rows[at + TOKENS] = tokens
    this.rows[at + REQUESTS] = requests
    this.rows[at + WAITING_REQUESTS] = waitingRequests
    this.rows[at + WAITING_PREFILL_TOKENS] = waitingPrefillTokens
    this.rows[at + KV_TOKENS] = kvTokens
    this.loads[position] = candidate.load
  }

  setScore(position: number, scorer: number, score: number, weight: number): void {
    const at = position * this.stride
    this.rows[at + FIRST_SCORE + scorer] = score
    this.rows[at + TOTAL] = (this.rows[at + TOTAL] as number) + score * weight
  }

  row(position: number): CapturedRow {
    const at = position * this.stride
    return {
      blocks: this.rows[at + BLOCKS] as number,
      tokens: this.rows[at + TOKENS] as number,
      requests: this.rows[at + REQUESTS] as number,
      waitingRequests: this.rows[at + WAITING_REQUESTS] as number,
      waitingPrefillTokens: this.rows[at + WAITING_PREFILL_TOKENS] as number,
      kvTokens: this.rows[at + KV_TOKENS] as number,
      total: this.total(position),
    }
  }

  total(position: number): number {
    return this.rows[position * this.stride + TOTAL] as number
  }

  tokens(position: number): number {
    return this.rows[position * this.stride + TOKENS] as number
  }

  scores(position: number): Readonly<Record<string, number>> {
    const at = position * this.stride + FIRST_SCORE
    return Object.fromEntries(this.scorers.map(({ scorer }, index) => [scorer.name, this.rows[at + index] as number]))
  }

  scored(): Scored[] {
    return this.candidates.map((candidate, position) => new Scored(this, position, candidate, this.total(position)))
  }
}

/** What pickers see; the table of scores is only built for the picker that reads it. */
class Scored implements ScoredCandidate {
  constructor(
    private readonly record: EvaluationRecord,
    readonly position: number,
    readonly candidate: Candidate,
    readonly total: number,
  ) {}

  get scores(): Readonly<Record<string, number>> {
    return this.record.scores(this.position)
  }
}
