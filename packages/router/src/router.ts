import type { BlockHashes, Fleet, Lease, PromptInput, Reason } from '@kvfleet/core'
import type { Decision } from './decision.js'
import type { Policy } from './policy.js'
import type { RoutingRequest } from './routing-request.js'

export interface RouterOptions {
  readonly fleet: Fleet
  readonly policy: Policy
  /** How prompts become token ids. Left out: only prompts given as ids have them. */
  readonly tokens?: TokenSource
  /** Prefix index; default: an exact index fed by the fleet's KV events, kept while the fleet has them and the policy looks at prefixes. */
  readonly index?: PrefixIndex
}

/** Where token ids come from. */
export interface TokenSource {
  readonly name: string
  /** undefined when this source cannot tell for this prompt. Rejections become a reason in the decision. */
  tokens(prompt: PromptInput, context: { readonly fleet: Fleet; readonly signal?: AbortSignal }): Promise<Uint32Array | undefined>
}

/**
 * Which candidate holds which prefix. Fed by the fleet's ordered event stream and by nothing else;
 * the index never asks questions.
 */
export interface PrefixIndex {
  readonly name: string
  /** Leading blocks of the chain that the rank holds, for each holder asked about. */
  match(query: PrefixQuery, holders: readonly IndexHolder[]): readonly number[]
  /** Blocks and memory, for metrics. */
  stats(): { readonly blocks: number; readonly memberships: number; readonly bytes: number }
  close(): void
}

export interface PrefixQuery {
  readonly hashes: BlockHashes
  readonly blockSize: number
}

export interface IndexHolder {
  readonly workerId: string
  readonly incarnation: number
  readonly rank: number
}

export interface Router {
  readonly fleet: Fleet
  readonly policy: Policy
  /** What the router does without, decided at start: no KV events, no token source. Empty when all is there. */
  readonly degradations: readonly Reason[]
  /**
   * Finds token ids if it can, then decides. Rejects with ROUTE_NO_WORKER (retryable; details say why each worker was
   * excluded).
   */
  route(request: RoutingRequest, prompt?: PromptInput, options?: { readonly signal?: AbortSignal }): Promise<Decision>
  /**
   * The first half of `route()`: the request with token ids where they can be had. Whoever goes on with `decide()` and `reserve()`
   * in one turn leaves no gap in which other requests could take the same place for free, and may decide again without
   * looking for the ids again.
   */
  prepare(request: RoutingRequest, prompt?: PromptInput, options?: { readonly signal?: AbortSignal }): Promise<RoutingRequest>
  /** The second half of `route()`, without waiting: for requests that are prepared, carry tokens or need none. Throws ROUTE_NO_WORKER. */
  decide(request: RoutingRequest): Decision
  /** Takes the lease that the decision speaks of. Throws WORKER_PHASE when the worker left in between. */
  reserve(decision: Decision, request: RoutingRequest): Lease
  /** Exchanges the policy: the next decision is the new one's. Throws OPTION_INVALID, CLOSED. */
  setPolicy(policy: Policy): void
  close(): Promise<void>
}
