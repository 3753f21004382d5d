import type { EngineAdapter, EngineLoad } from './engine.js'
import type { EngineProfile } from './engine-profile.js'
import type { WorkerHealth, WorkerPhase } from './lifecycle.js'

/** `aggregated` serves whole requests; `prefill` and `decode` serve one leg of a disaggregated request. */
export type WorkerRole = 'aggregated' | 'prefill' | 'decode'

/** Where a worker stands. All names are the host's; equal names mean "together". */
export interface Topology {
  /** Availability zone. */
  readonly zone?: string
  readonly placementGroup?: string
  /** Workers of one transfer domain can move KV blocks to each other. */
  readonly transferDomain?: string
  /** Tensor-parallel group: the instances that together form this worker. */
  readonly tensorParallelGroup?: string
  readonly host?: string
}

export interface WorkerCapacity {
  /** Requests the engine runs at once (vLLM: max_num_seqs). */
  readonly maxRunningRequests?: number
  /** Size of the KV cache in blocks, per data-parallel rank. */
  readonly kvBlocks?: number
}

/** What a host says about a worker when it adds it. Everything left out is asked of the engine or has a default. */
export interface WorkerSpec {
  /** Unique in the fleet while the worker is in it; letters, digits, `.`, `_`, `-` and `:`. */
  readonly id: string
  /** Base URL of the engine's HTTP server, without `/v1`. */
  readonly url: string
  readonly engine: EngineAdapter
  /** Model names served. Default: what the engine lists. Empty: any model. */
  readonly models?: readonly string[]
  /** Default: `aggregated`. */
  readonly role?: WorkerRole
  /** Tokens per KV block. Default: what the engine reports, else 16. */
  readonly blockSize?: number
  /** Default: what the engine reports, else 1. */
  readonly dataParallelRanks?: number
  readonly capacity?: WorkerCapacity
  readonly topology?: Topology
  readonly labels?: Readonly<Record<string, string>>
  /** How fast this worker is; cost-based policies use it. */
  readonly profile?: EngineProfile
  /** Headers sent with every request to the engine (an API key, say). Never logged, listed or put in errors. */
  readonly upstreamHeaders?: Readonly<Record<string, string>>
}

/** What is in flight on one rank of a worker, counted by the fleet's lease ledger. */
export interface InFlight {
  readonly requests: number
  /** Requests that have not sent a first token. */
  readonly waitingRequests: number
  /** Uncached prompt tokens of the requests that have not sent a first token: the queued prefill work. */
  readonly waitingPrefillTokens: number
  /** Prompt and expected output tokens of all requests: the KV room they hold or will hold. */
  readonly kvTokens: number
}

/**
 * A worker in the fleet: a live, read-only view. A worker that is removed and added again is another
 * object with a higher `incarnation`.
 */
export interface Worker {
  readonly id: string
  /** Increases with every `fleet.add`, over all ids. */
  readonly incarnation: number
  readonly url: string
  readonly engine: EngineAdapter
  readonly models: readonly string[]
  readonly role: WorkerRole
  readonly blockSize: number
  readonly dataParallelRanks: number
  readonly capacity: WorkerCapacity
  readonly topology: Topology
  readonly labels: Readonly<Record<string, string>>
  readonly profile: EngineProfile | undefined
  readonly phase: WorkerPhase
  readonly health: WorkerHealth
  readonly cordoned: boolean
  /** When the worker became active, in the clock's milliseconds; 0 while joining. */
  readonly readyAt: number
  /** Leases of all ranks. */
  readonly leases: number
  /** Throws a RangeError for a rank the worker does not have. */
  inFlight(rank: number): InFlight
  /** What the engine itself last reported for this rank; undefined when it reports nothing. */
  load(rank: number): EngineLoad | undefined
}
