import type { Clock } from './clock.js'
import type { WorkerCapacity } from './worker.js'

/** The part of `fetch` that adapters use; the host may pass its own. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>

/** How an adapter reaches one engine. Rejections of `fetch` mean unreachable. */
export interface EngineConnection {
  /** Base URL without a trailing slash. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly fetch: Fetch
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** What an engine reports about one data-parallel rank. */
export interface EngineLoad {
  readonly runningRequests: number
  readonly waitingRequests: number
  /** Used share of the KV cache, 0 to 1. */
  readonly kvUsage: number
  /** Totals since the engine started, in tokens; undefined where the engine does not count them. */
  readonly prefixCacheQueries?: number
  readonly prefixCacheHits?: number
  /** False while the engine sleeps (weights off the device): its KV cache is gone. */
  readonly awake?: boolean
  /** The clock's milliseconds at which the answer arrived. */
  readonly at: number
}

/** What an engine says about itself. Left out: the engine does not tell. */
export interface EngineDescription {
  readonly version?: string
  readonly models?: readonly string[]
  readonly blockSize?: number
  readonly dataParallelRanks?: number
  readonly capacity?: WorkerCapacity
}

/** Where one rank publishes its KV events. */
export interface KvEventEndpoint {
  readonly rank: number
  /** Which wire the frames are in, by the codec's name: `vllm`, `sglang`. */
  readonly wire: string
  /** ZMQ address to connect to: `tcp://10.0.0.1:5557`. */
  readonly endpoint: string
  /** ZMQ ROUTER address that replays missed batches. */
  readonly replayEndpoint?: string
  /** Subscription prefix; empty for all. */
  readonly topic: string
  readonly model?: string
}

/** A chat or text prompt, as the client sent it. */
export type PromptInput =
  | { readonly kind: 'tokens'; readonly tokens: Uint32Array }
  | { readonly kind: 'text'; readonly model: string; readonly text: string }
  | { readonly kind: 'chat'; readonly model: string; readonly body: Readonly<Record<string, unknown>> }

/**
 * What kvfleet has to know of an engine. Only `name` and `health` are required; each further member that is
 * present advertises an ability. All calls must be safe to repeat and must honour `connection.signal`.
 * Failures reject with a KvFleetError: ENGINE_UNREACHABLE or ENGINE_RESPONSE.
 */
export interface EngineAdapter {
  readonly name: string
  /** Resolves when the engine can serve, rejects when it cannot. */
  health(connection: EngineConnection): Promise<void>
  describe?(connection: EngineConnection): Promise<EngineDescription>
  /** One entry per data-parallel rank, in order of rank. */
  load?(connection: EngineConnection): Promise<readonly EngineLoad[]>
  /** Empty when the engine publishes no events. */
  kvEventEndpoints?(connection: EngineConnection): Promise<readonly KvEventEndpoint[]>
  /** The ids the engine itself would compute, chat template included. */
  tokenize?(connection: EngineConnection, prompt: PromptInput): Promise<Uint32Array>
  /** Header that pins a request to a data-parallel rank (vLLM: X-data-parallel-rank). */
  readonly rankHeader?: string
}
