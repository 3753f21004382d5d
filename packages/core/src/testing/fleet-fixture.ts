import { createFleet } from '../fleet/create-fleet.js'
import type { Fleet, FleetEvents, FleetOptions } from '../fleet/fleet.js'
import type { LeaseRequest } from '../lease.js'
import { seededRandom } from '../random.js'
import { createVirtualClock, type VirtualClock } from '../virtual-time.js'
import type { Worker, WorkerSpec } from '../worker.js'
import { memoryEngine } from './memory-engine.js'

/** A fleet in virtual time with everything that it told so far. */
export interface FleetFixture {
  readonly fleet: Fleet
  readonly clock: VirtualClock
  /** One line an event: `a: joining > active`, `a: unhealthy by probe`, `a: problem CODE`. */
  readonly told: string[]
  readonly problems: Error[]
  /** Adds a worker on a memory engine and waits until it is active. */
  join(id: string, spec?: Partial<WorkerSpec>): Promise<Worker>
}

export function fleetFixture(options: FleetOptions = {}): FleetFixture {
  const clock = createVirtualClock({ startAt: 1_000_000 })
  const fleet = createFleet({ clock, random: seededRandom(1), ...options })
  const told: string[] = []
  const problems: Error[] = []
  const listeners: Omit<FleetEvents, 'lease'> = {
    phase: ({ worker, from, to }) => told.push(`${worker.id}: ${from ?? 'new'} > ${to}`),
    health: ({ worker, to, cause }) => told.push(`${worker.id}: ${to} by ${cause}`),
    cordon: ({ worker, cordoned }) => told.push(`${worker.id}: ${cordoned ? 'cordoned' : 'uncordoned'}`),
    kv: ({ source, ...item }) => {
      const holder = source.kind === 'worker' ? `${source.workerId}#${source.incarnation}/${source.rank}` : source.storeId
      told.push(`${holder}: ${item.type === 'reset' ? `reset ${item.reason}` : `batch ${item.sequence}`}`)
    },
    problem: ({ error }) => problems.push(error),
  }
  fleet.on('phase', listeners.phase)
  fleet.on('health', listeners.health)
  fleet.on('cordon', listeners.cordon)
  fleet.on('kv', listeners.kv)
  fleet.on('problem', listeners.problem)
  return {
    fleet,
    clock,
    told,
    problems,
    join: (id, spec = {}) => clock.runUntil(fleet.add({ ...workerSpec(id), ...spec })),
  }
}

export function workerSpec(id: string): WorkerSpec {
  return { id, url: 'http://10.0.0.1:8000', engine: memoryEngine() }
}

export function leaseRequest(request: Partial<LeaseRequest> = {}): LeaseRequest {
  return { kind: 'aggregated', requestId: 'r', promptTokens: 100, ...request }
}

/** How a promise stands after everything that can happen at this instant has happened. */
export async function outcomeOf<T>(promise: Promise<T>): Promise<'pending' | { readonly value: T } | { readonly error: unknown }> {
  let outcome: 'pending' | { readonly value: T } | { readonly error: unknown } = 'pending'
  promise.then(
    value => {
      outcome = { value }
    },
    error => {
      outcome = { error }
    },
  )
  await new Promise(resolve => setImmediate(resolve))
  return outcome
}
