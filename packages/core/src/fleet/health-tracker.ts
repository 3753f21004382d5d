import type { WorkerHealth } from '../lifecycle.js'

/** Counts of consecutive results that change a worker's health. */
export interface HealthThresholds {
  readonly probeFailures: number
  readonly probeSuccesses: number
  readonly requestFailures: number
}

/**
 * closed: requests flow. open: none do. half-open: the next request may try. trial: one is trying, the others wait
 * until it has its first token or ends.
 */
export type Breaker = 'closed' | 'open' | 'half-open' | 'trial'

export interface HealthState {
  readonly probed: WorkerHealth
  /** Consecutive probe results that speak against `probed`. */
  readonly probesAgainst: number
  readonly breaker: Breaker
  /** Consecutive failed requests. */
  readonly failedRequests: number
}

export type HealthInput =
  | 'probe-succeeded'
  | 'probe-failed'
  | 'request-completed'
  | 'request-failed'
  /** A request was taken while the breaker was half-open. */
  | 'trial-taken'
  /** It has its first token, or ended without saying anything about the worker. */
  | 'trial-over'
  /** The breaker has been open for its time. */
  | 'open-elapsed'

export const INITIAL_HEALTH: HealthState = { probed: 'unknown', probesAgainst: 0, breaker: 'closed', failedRequests: 0 }

/** Probes and requests are judged apart; a worker is unhealthy while either says so. */
export function healthOf(state: HealthState): WorkerHealth {
  return state.breaker === 'open' || state.breaker === 'trial' ? 'unhealthy' : state.probed
}

/** The state after one result; the same object when nothing changes. */
export function nextHealth(state: HealthState, input: HealthInput, thresholds: HealthThresholds): HealthState {
  switch (input) {
    case 'probe-succeeded':
      return probed(state, 'healthy', state.probed === 'unknown' ? 1 : thresholds.probeSuccesses)
    case 'probe-failed':
      return probed(state, 'unhealthy', thresholds.probeFailures)
    case 'request-completed':
      return state.breaker === 'closed' && state.failedRequests === 0 ? state : { ...state, breaker: 'closed', failedRequests: 0 }
    case 'request-failed': {
      const failedRequests = state.failedRequests + 1
      const opens = state.breaker !== 'closed' || failedRequests >= thresholds.requestFailures
      return { ...state, breaker: opens ? 'open' : 'closed', failedRequests }
    }
    case 'trial-taken':
      return state.breaker === 'half-open' ? { ...state, breaker: 'trial' } : state
    case 'trial-over':
      return state.breaker === 'trial' ? { ...state, breaker: 'half-open' } : state
    case 'open-elapsed':
      return state.breaker === 'open' ? { ...state, breaker: 'half-open' } : state
  }
}

function probed(state: HealthState, result: WorkerHealth, needed: number): HealthState {
  if (result === state.probed) return state.probesAgainst === 0 ? state : { ...state, probesAgainst: 0 }
  const probesAgainst = state.probesAgainst + 1
  return probesAgainst >= needed ? { ...state, probed: result, probesAgainst: 0 } : { ...state, probesAgainst }
}
