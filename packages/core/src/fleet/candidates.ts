import { ineligibleReason } from '../lifecycle.js'
import type { Worker } from '../worker.js'
import type { CandidateQuery, Candidates, ExcludedWorker } from './fleet.js'

/**
 * Splits workers into those that may take a request and those that may not. Health is a preference: when it alone
 * stands between the request and every worker left, they are all offered.
 */
export function candidatesOf(workers: readonly Worker[], query: CandidateQuery): Candidates {
  const eligible: Worker[] = []
  const excluded: ExcludedWorker[] = []
  for (const worker of workers) {
    const reason = exclusion(worker, query)
    if (reason === undefined) eligible.push(worker)
    else excluded.push({ worker, reason })
  }
  const unhealthy = eligible.length === 0 ? excluded.filter(({ reason }) => reason === 'unhealthy') : []
  if (unhealthy.length === 0) return { workers: eligible, excluded, panic: false }
  return {
    workers: unhealthy.map(({ worker }) => worker),
    excluded: excluded.filter(({ reason }) => reason !== 'unhealthy'),
    panic: true,
  }
}

function exclusion(worker: Worker, { role, model }: CandidateQuery): string | undefined {
  if (role !== undefined && worker.role !== role) return 'role'
  if (model !== undefined && worker.models.length > 0 && !worker.models.includes(model)) return 'model'
  return ineligibleReason(worker)
}
