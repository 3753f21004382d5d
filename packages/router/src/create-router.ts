import { abortable, KvFleetError, type Lease, type PromptInput, publish, type Reason, toKvFleetError } from '@kvfleet/core'
import type { Decision } from './decision.js'
import { checkPolicy } from './policies/compose-policy.js'
import type { Policy, PolicyNeed } from './policy.js'
import { createExactIndex } from './prefix-index/exact-index.js'
import type { PrefixIndex, Router, RouterOptions } from './router.js'
import { parseRouterOptions } from './router-options.js'
import { createDecider } from './routing/decider.js'
import { missingInputs, policyWants } from './routing/degradations.js'
import { expectedOutputTokens } from './routing/expected-output.js'
import type { RoutingRequest } from './routing-request.js'

interface ActivePolicy {
  readonly policy: Policy
  /** undefined when the policy does not look at prefixes: then no event is decoded for it. */
  readonly index: PrefixIndex | undefined
  readonly wants: ReadonlySet<PolicyNeed>
  readonly degradations: readonly Reason[]
}

/**
 * A router over the fleet's workers. It only decides: `reserve` takes the lease, the dispatcher sends. The default
 * index belongs to the router and closes with it; fleet, token source and an index passed in belong to the caller.
 * Throws OPTION_INVALID.
 */
export function createRouter(options: RouterOptions): Router {
  const { fleet, tokens: source, index: givenIndex } = parseRouterOptions(options)
  const activate = (policy: Policy): ActivePolicy => {
    const checked = checkPolicy('createRouter: policy', policy)
    const wants = policyWants(checked)
    const degradations = missingInputs(wants, { index: indexName, tokens: source?.name })
    return { policy: checked, index: givenIndex ?? keepIndex(wants.has('kv-events')), wants, degradations }
  }
  /** The router's own index, made for the first policy that wants one and closed with the last. */
  const keepIndex = (wanted: boolean): PrefixIndex | undefined => {
    if (!wanted) ownIndex?.close()
    ownIndex = wanted && fleet.kvEvents !== undefined ? (ownIndex ?? createExactIndex(fleet)) : undefined
    return ownIndex
  }
  const indexName = givenIndex?.name ?? fleet.kvEvents
  let ownIndex: PrefixIndex | undefined
  let active = activate(options.policy)
  const decider = createDecider(fleet)
  let closed = false

  const assertOpen = () => {
    if (closed) throw new KvFleetError('CLOSED', 'router: the router is closed')
  }

  const decide = (request: RoutingRequest): Decision => {
    assertOpen()
    const { policy, index, wants, degradations } = active
    const reasons = [...degradations.filter(({ code }) => code !== 'no-tokens'), ...request.reasons]
    const told = request.reasons.some(({ code }) => code === 'tokens-failed')
    if (wants.has('tokens') && !told && !knowsTokens(request)) reasons.push(noTokens(source?.name))
    const decision = decider(request, policy, { index, wants, reasons })
    publish('kvfleet:decision', () => ({
      fleet,
      requestId: decision.requestId,
      policy: decision.policy,
      workerId: decision.worker.id,
      promptTokens: decision.promptTokens,
      cachedTokens: decision.cachedTokens,
      decideMs: fleet.clock.now() - decision.decidedAt,
    }))
    return decision
  }

  /** The request with ids where they can be had, or with the reason why not. */
  const withTokens = async (
    request: RoutingRequest,
    prompt: PromptInput,
    wants: ReadonlySet<PolicyNeed>,
    signal: AbortSignal | undefined,
  ): Promise<RoutingRequest> => {
    if (knowsTokens(request)) return request
    if (prompt.kind === 'tokens') return { ...request, tokens: prompt.tokens, promptTokens: prompt.tokens.length }
    if (source === undefined || !wants.has('tokens')) return request
    try {
      const tokens = await abortable(source.tokens(prompt, signal === undefined ? { fleet } : { fleet, signal }), signal)
      return tokens === undefined ? request : { ...request, tokens, promptTokens: tokens.length }
    } catch (error) {
      throwIfAborted(signal)
      // The code alone: a message of an engine may quote the prompt.
      const { code } = toKvFleetError(error, 'INTERNAL', 'router: token source')
      return { ...request, reasons: [...request.reasons, { code: 'tokens-failed', values: { source: source.name, error: code } }] }
    }
  }

  const prepare: Router['prepare'] = async (request, prompt, { signal } = {}) => {
    assertOpen()
    throwIfAborted(signal)
    if (prompt === undefined) return request
    const prepared = await withTokens(request, prompt, active.wants, signal)
    throwIfAborted(signal)
    return prepared
  }

  return {
    fleet,
    get policy() {
      return active.policy
    },
    get degradations() {
      return active.degradations
    },
    route: async (request, prompt, options) => decide(await prepare(request, prompt, options)),
    prepare,
    decide,
    reserve(decision, request): Lease {
      assertOpen()
      return fleet.lease(decision.worker, {
        kind: request.role,
        requestId: decision.requestId,
        rank: decision.rank,
        promptTokens: decision.promptTokens,
        uncachedTokens: decision.promptTokens - decision.cachedTokens,
        expectedOutputTokens: expectedOutputTokens(request),
      })
    },
    setPolicy(policy) {
      assertOpen()
      active = activate(policy)
    },
    async close() {
      if (closed) return
      closed = true
      ownIndex?.close()
    },
  }
}

function knowsTokens({ tokens, blockHashes }: RoutingRequest): boolean {
  return tokens !== undefined || blockHashes !== undefined
}

function noTokens(source: string | undefined): Reason {
  return source === undefined ? { code: 'no-tokens' } : { code: 'no-tokens', values: { source } }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new KvFleetError('ABORTED', 'router: the caller aborted route()', { cause: signal.reason })
}
