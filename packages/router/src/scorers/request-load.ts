import { routerDefaults } from '../defaults.js'
import type { Candidate, Scorer } from '../policy.js'

/**
 * Prefers idle candidates: 1 / (1 + load), load = (requests in flight + requests waiting in the engine) per request that
 * the engine runs at once. The ledger is exact and current; the engine's queue adds what other clients sent.
 */
export function requestLoad(): Scorer {
  return {
    name: 'request-load',
    wants: ['engine-load'],
    score: (_request, candidate) => 1 / (1 + loadOf(candidate)),
    detail: (_request, candidate) => ({ load: loadOf(candidate), engineWaitingRequests: candidate.load?.waitingRequests ?? 0 }),
  }
}

function loadOf({ worker, inFlight, load }: Candidate): number {
  const capacity = worker.capacity.maxRunningRequests ?? routerDefaults.maxRunningRequests
  return (inFlight.requests + (load?.waitingRequests ?? 0)) / capacity
}
