import { sleep, systemClock } from '@kvfleet/core'
import type { Cluster } from './cluster.js'

/** What adding one worker and draining another did, in model time since the run's start. */
export interface RollingChange {
  readonly addedAt: number
  readonly drainedAt: number
  readonly drainStartedAt: number
  readonly inFlightAtStart: number
  readonly finished: number
  readonly aborted: number
}

interface WorkerState {
  readonly phase: string
  readonly leases: number
  readonly drain?: { readonly finished: number; readonly aborted: number }
}

/** Through the gateway's admin API: adds worker-5, and once it is active drains worker-1 and removes it. */
export async function addOneDrainOne(cluster: Cluster, modelNow: () => number, signal: AbortSignal): Promise<RollingChange> {
  const call = async (method: string, path: string, body?: object): Promise<WorkerState> => {
    const response = await fetch(`${cluster.adminUrl}${path}`, {
      method,
      signal,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as WorkerState
  }
  const waitFor = async (path: string, phase: string): Promise<WorkerState> => {
    for (;;) {
      const state = await call('GET', path)
      if (state.phase === phase) return state
      await sleep(systemClock, 50, signal)
    }
  }

  await call('POST', '/workers', { id: 'worker-5', url: cluster.spare.url, engine: 'vllm' })
  await waitFor('/workers/worker-5', 'active')
  const addedAt = modelNow()
  const before = await call('POST', '/workers/worker-1/drain', {})
  const drainStartedAt = modelNow()
  const drained = await waitFor('/workers/worker-1', 'drained')
  const drainedAt = modelNow()
  await call('DELETE', '/workers/worker-1')
  return {
    addedAt,
    drainStartedAt,
    drainedAt,
    inFlightAtStart: before.leases,
    finished: drained.drain?.finished ?? 0,
    aborted: drained.drain?.aborted ?? 0,
  }
}
