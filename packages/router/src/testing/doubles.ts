import {
  type EngineLoad,
  type EngineProfile,
  type InFlight,
  NOTHING_IN_FLIGHT,
  type Random,
  seededRandom,
  type Worker,
} from '@kvfleet/core'
import { createVirtualClock } from '@kvfleet/core/virtual-time'
import type { Candidate, PolicyContext, PrefixOverlap } from '../policy.js'

export interface CandidateDoubleOptions {
  readonly id?: string
  readonly rank?: number
  readonly readyAt?: number
  readonly blockSize?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly profile?: EngineProfile
  readonly maxRunningRequests?: number
  readonly inFlight?: Partial<InFlight>
  readonly load?: Partial<EngineLoad>
}

/** A candidate that stands still: plain, frozen data. */
export function candidateDouble(options: CandidateDoubleOptions = {}): Candidate {
  const { id = 'worker', rank = 0, readyAt = 0, blockSize = 16, labels = {}, profile, maxRunningRequests } = options
  const inFlight: InFlight = { ...NOTHING_IN_FLIGHT, ...options.inFlight }
  const load: EngineLoad | undefined =
    options.load === undefined ? undefined : { runningRequests: 0, waitingRequests: 0, kvUsage: 0, at: 0, ...options.load }
  const worker: Worker = {
    id,
    incarnation: 1,
    url: 'http://127.0.0.1:1',
    engine: { name: 'test', health: async () => {} },
    models: [],
    role: 'aggregated',
    blockSize,
    dataParallelRanks: rank + 1,
    capacity: maxRunningRequests === undefined ? {} : { maxRunningRequests },
    topology: {},
    labels,
    profile,
    phase: 'active',
    health: 'healthy',
    cordoned: false,
    readyAt,
    leases: inFlight.requests,
    inFlight: () => inFlight,
    load: () => load,
  }
  return deepFreeze({ worker, rank, id, readyAt, blockSize, labels, profile, inFlight, load })
}

export interface ContextDoubleOptions {
  /** The clock's time. Default: 0. */
  readonly now?: number
  readonly seed?: number
  readonly sequence?: number
  readonly random?: Random
  /** Default: nothing is cached anywhere. */
  readonly overlap?: (candidate: Candidate) => PrefixOverlap
}

/** Equal options give contexts that tell and draw the same. */
export function contextDouble(options: ContextDoubleOptions = {}): PolicyContext {
  const { now = 0, seed = 0, sequence = 0, random = seededRandom(`context/${seed}`), overlap = () => ({ blocks: 0, tokens: 0 }) } = options
  return Object.freeze({ clock: createVirtualClock({ startAt: now }), random, sequence, overlap })
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}
