import type { InFlight, Worker } from './worker.js'

/** Which part of a request a lease covers. */
export type LeaseKind = 'aggregated' | 'prefill' | 'decode'

export interface LeaseRequest {
  readonly kind: LeaseKind
  readonly requestId: string
  /** Data-parallel rank. Default: 0. */
  readonly rank?: number
  readonly promptTokens: number
  /** Prompt tokens that the worker has to compute. Default: promptTokens. */
  readonly uncachedTokens?: number
  /** Default: 0 (unknown). */
  readonly expectedOutputTokens?: number
}

export type LeaseOutcome = 'completed' | 'failed' | 'cancelled' | 'aborted'

/**
 * One request's stay on one worker, from reservation to last byte. Drain, load and metrics all read the
 * ledger of leases. Whoever takes a lease must end it; ending twice has no effect.
 */
export interface Lease {
  readonly id: number
  readonly worker: Worker
  readonly request: LeaseRequest
  /** Aborts with a KvFleetError when the fleet ends the lease (drain deadline, removal, close). */
  readonly signal: AbortSignal
  readonly ended: boolean
  /** The first token arrived: the prefill is done. Only the first call counts. */
  firstToken(): void
  end(outcome: LeaseOutcome): void
}

export const NOTHING_IN_FLIGHT: InFlight = { requests: 0, waitingRequests: 0, waitingPrefillTokens: 0, kvTokens: 0 }
