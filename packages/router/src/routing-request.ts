import type { BlockHashes, Reason, WorkerRole } from '@kvfleet/core'

/**
 * What a policy sees of a request: numbers and ids, never text. The router builds it from the client's request;
 * a simulation builds it by hand.
 */
export interface RoutingRequest {
  readonly id: string
  readonly model: string | undefined
  /** Default role asked for: `aggregated`. */
  readonly role: WorkerRole
  /** Prompt ids, when known. */
  readonly tokens: Uint32Array | undefined
  /**
   * The router's own hash chain over the prompt's full blocks of `blockSize` tokens, when it was computed before
   * (a replayed trace). Otherwise the router hashes `tokens`.
   */
  readonly blockHashes: { readonly blockSize: number; readonly hashes: BlockHashes } | undefined
  /** Exact when `tokens` or `blockHashes` are given, else estimated from the text's length. */
  readonly promptTokens: number
  /** The client's limit on output tokens; undefined when it set none. */
  readonly maxOutputTokens: number | undefined
  /** LoRA adapter and cache salt: they part the cache. */
  readonly lora: string | undefined
  readonly cacheSalt: string | undefined
  readonly sessionId: string | undefined
  /** Worker ids not to be chosen: those that failed this request before. */
  readonly excludedWorkers: readonly string[]
  /** What preparing the request found; joins the decision's reasons. */
  readonly reasons: readonly Reason[]
}

/** Fills in what is left out. `promptTokens` defaults to the number of ids. */
export function routingRequest(input: Partial<RoutingRequest> & { readonly id: string }): RoutingRequest {
  return {
    model: undefined,
    role: 'aggregated',
    tokens: undefined,
    blockHashes: undefined,
    maxOutputTokens: undefined,
    lora: undefined,
    cacheSalt: undefined,
    sessionId: undefined,
    excludedWorkers: [],
    reasons: [],
    ...input,
    promptTokens: input.promptTokens ?? input.tokens?.length ?? 0,
  }
}
