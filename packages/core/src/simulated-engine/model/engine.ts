import type { Clock } from '../../clock.js'
import type { EngineProfile } from '../../engine-profile.js'
import type { BlockHashes } from '../../kv-events/kv-event.js'

export interface SimulatedEngineOptions {
  readonly profile: EngineProfile
  /** Tokens per KV block. */
  readonly blockSize: number
  /** KV room in blocks. */
  readonly kvBlocks: number
  /** Most requests of one batch (vLLM: max_num_seqs). Default: 256. */
  readonly maxRunningRequests?: number
  /** Output tokens are a function of this and of all ids before them. Default: 0. */
  readonly seed?: number
  /** Ids are below this. Default: 32,000. */
  readonly vocabularySize?: number
  /**
   * Take steps in one jump while nothing can change the batch: same result, far fewer events. Listeners then get
   * a request's tokens in runs instead of one by one, at the end of the run. Default: true.
   */
  readonly jump?: boolean
}

export interface SimulatedRequest {
  readonly id: string
  /**
   * The prompt's ids, or its length with the hashes of its full blocks (`chainBlockHashes` over the ids, which then
   * has to cover the cache salt as well).
   */
  readonly prompt: Uint32Array | { readonly length: number; readonly blockHashes: BlockHashes }
  readonly maxTokens: number
  /** Parts the cache from that of other requests (LoRA, salt). Default: none. */
  readonly cacheSalt?: string
}

/**
 * `count` tokens were produced, the first at `firstAt` and the others `intervalMs` apart on average (0 for one token).
 * Steps grow longer as the contexts grow: token i, from 0, came at
 *
 *   firstAt + i · intervalMs - intervalGrowthMs · i · (count - 1 - i) / 2
 */
export interface SimulatedTokenRun {
  readonly count: number
  readonly firstAt: number
  readonly intervalMs: number
  /** How much longer each interval of the run is than the one before. */
  readonly intervalGrowthMs: number
  /** Undefined unless the listener asked for ids by setting `wantsTokens`. */
  readonly tokens: Uint32Array | undefined
}

export interface SimulatedRequestListener {
  onTokens(run: SimulatedTokenRun): void
  onEnd(result: SimulatedResult): void
  /** Ids cost time to compute; a simulation of latencies leaves this out. */
  readonly wantsTokens?: boolean
}

export interface SimulatedResult {
  readonly id: string
  readonly finish: 'length' | 'abort' | 'rejected'
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  readonly submittedAt: number
  /** When the request was first scheduled; undefined if it never was. */
  readonly scheduledAt: number | undefined
  readonly firstTokenAt: number | undefined
  readonly endedAt: number
  readonly preemptions: number
}

/** A KV event of the model: the engine's own chained 64-bit hashes; `serve` puts them on vLLM's wire. */
export type SimulatedKvEvent =
  | {
      readonly type: 'stored'
      readonly hashes: BlockHashes
      readonly parent: BlockHashes | undefined
      /** Undefined when the prompt was given by its hashes. */
      readonly tokens: Uint32Array | undefined
      readonly cacheSalt: string | undefined
      /** Per hash, 1 where another block held it already; undefined when none did. vLLM's wire does not tell. */
      readonly duplicates?: Uint8Array
    }
  | {
      readonly type: 'removed'
      readonly hashes: BlockHashes
      /** True when another block still holds the hash. vLLM's wire does not tell. */
      readonly copiesLeft?: boolean
    }
  | { readonly type: 'cleared' }

export interface SimulatedEngineStats {
  readonly runningRequests: number
  readonly waitingRequests: number
  readonly kvUsage: number
  readonly prefixCacheQueries: number
  readonly prefixCacheHits: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly preemptions: number
  readonly steps: number
  readonly completedRequests: number
}

/**
 * One engine in software: continuous batching with chunked prefill, paged KV cache with prefix caching, LRU eviction
 * and preemption by recomputation, step times from an EngineProfile. Deterministic given its clock.
 */
export interface SimulatedEngine {
  readonly clock: Clock
  /** With every default filled in. */
  readonly options: Required<SimulatedEngineOptions>
  readonly closed: boolean
  /** Ends with `rejected` when prompt and output can never fit the KV room. Returns the function that aborts the request. */
  submit(request: SimulatedRequest, listener: SimulatedRequestListener): () => void
  /** Events of one step come together, in order, as vLLM publishes them. Returns the function that ends the subscription. */
  onKvEvents(listener: (events: readonly SimulatedKvEvent[], at: number) => void): () => void
  stats(): SimulatedEngineStats
  /** Forgets every cached block that no running request uses. As with vLLM, announced with the next step. */
  resetPrefixCache(): void
  /** Aborts every request. */
  close(): void
}
