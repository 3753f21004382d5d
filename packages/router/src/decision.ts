import type { Reason, Worker } from '@kvfleet/core'

/** How one candidate fared. */
export interface Evaluation {
  readonly workerId: string
  readonly rank: number
  /** Prompt tokens that the index finds on this candidate. */
  readonly cachedTokens: number
  /** Uncached prompt tokens of requests before their first token. */
  readonly waitingPrefillTokens: number
  readonly requests: number
  /** By scorer, before weighting. */
  readonly scores: Readonly<Record<string, number>>
  /** By scorer, the numbers behind the score. */
  readonly details: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly total: number
  readonly picked: boolean
}

export interface Exclusion {
  readonly workerId: string
  /** `fleet` for phase, health, cordon, role and model; else the filter's name. */
  readonly by: string
  readonly reason: string
}

/** A decision in full, for people and for tests. */
export interface Explanation {
  readonly policy: string
  readonly weights: Readonly<Record<string, number>>
  readonly evaluations: readonly Evaluation[]
  readonly excluded: readonly Exclusion[]
  readonly reasons: readonly Reason[]
  /** A table of the above, one candidate a line. */
  toString(): string
}

/** Who serves a request, and why. Plain data: nothing is reserved or sent until it is acted on. */
export interface Decision {
  readonly requestId: string
  readonly policy: string
  readonly worker: Worker
  readonly rank: number
  readonly promptTokens: number
  /** What the index promises on the chosen worker. */
  readonly cachedTokens: number
  readonly reasons: readonly Reason[]
  /** The clock's milliseconds. */
  readonly decidedAt: number
  /** Computes the details on first call; the numbers are those of the moment of the decision. */
  explain(): Explanation
}
