import { type EngineProfile, parseOptions, prefillMs, standInProfile } from '@kvfleet/core'
import * as v from 'valibot'
import { routerDefaults } from '../defaults.js'
import type { Candidate, Scorer } from '../policy.js'
import { expectedOutputTokens } from '../routing/expected-output.js'
import type { RoutingRequest } from '../routing-request.js'

export interface ExpectedCostOptions {
  /** Timing of workers that have no profile of their own. Default: `standInProfile`, a stand-in. */
  readonly profile?: EngineProfile
  /** Weight of the delay that this prompt means for the requests already here; 0 leaves it out. Default: 0.2. */
  readonly interferenceWeight?: number
  /** Weight of the decode term against time to first token; 0 leaves it out. Default: 0.1. */
  readonly decodeWeight?: number
  /** Cost at which the score is one half. Default: 1000. */
  readonly costScaleMs?: number
}

/**
 * The time that serving the request here is expected to cost, in ms; score = 1 / (1 + costMs / costScaleMs).
 *
 *   uncachedMs     = prefillMs(promptTokens - cachedTokens, cachedTokens)
 *   queuedMs       = waitingRequests · prefillMs(waitingPrefillTokens / waitingRequests)
 *   interferenceMs = requests · uncachedMs
 *   decodeMs       = outputTokens · (decodeMsPerSequence · running + decodeMsPerContextToken · kvTokens)
 *   costMs         = uncachedMs + queuedMs + interferenceWeight · interferenceMs + decodeWeight · decodeMs
 *
 * The first two are this request's time to first token. The third is what the others pay: an engine step that computes
 * this prompt makes every request there wait. The fourth is by how much they slow this request's own steps.
 */
export function expectedCost(options: ExpectedCostOptions = {}): Scorer {
  const { interferenceWeight, decodeWeight, costScaleMs } = parseOptions('expectedCost', schema, options)
  const fallback = options.profile ?? standInProfile

  const cost = (request: RoutingRequest, candidate: Candidate, cachedTokens: number) => {
    const profile = candidate.profile ?? fallback
    const { requests, waitingRequests, waitingPrefillTokens, kvTokens } = candidate.inFlight
    const uncachedMs = prefillMs(profile, request.promptTokens - cachedTokens, cachedTokens)
    const queuedMs = waitingRequests === 0 ? 0 : waitingRequests * prefillMs(profile, waitingPrefillTokens / waitingRequests)
    const decodeMs =
      expectedOutputTokens(request) *
      (profile.decodeMsPerSequence * (requests - waitingRequests) + profile.decodeMsPerContextToken * kvTokens)
    const interferenceMs = requests * uncachedMs
    const costMs = uncachedMs + queuedMs + interferenceWeight * interferenceMs + decodeWeight * decodeMs
    return { uncachedMs, queuedMs, interferenceMs, decodeMs, costMs }
  }

  return {
    name: 'expected-cost',
    wants: ['kv-events', 'tokens'],
    score: (request, candidate, context) => 1 / (1 + cost(request, candidate, context.overlap(candidate).tokens).costMs / costScaleMs),
    detail(request, candidate, context) {
      const cachedTokens = context.overlap(candidate).tokens
      return { cachedTokens, ...cost(request, candidate, cachedTokens) }
    },
  }
}

const atLeastZero = v.pipe(v.number(), v.finite('expected a finite number'), v.minValue(0, 'expected 0 or more'))

const schema = v.strictObject({
  profile: v.optional(
    v.looseObject({
      name: v.string(),
      stepBaseMs: atLeastZero,
      prefillMsPerToken: atLeastZero,
      prefillMsPerTokenPerContextToken: atLeastZero,
      decodeMsPerSequence: atLeastZero,
      decodeMsPerContextToken: atLeastZero,
      maxBatchedTokens: v.pipe(v.number(), v.gtValue(0, 'expected a positive number')),
    }),
  ),
  interferenceWeight: v.optional(atLeastZero, routerDefaults.interferenceWeight),
  decodeWeight: v.optional(atLeastZero, routerDefaults.decodeWeight),
  costScaleMs: v.optional(
    v.pipe(v.number(), v.finite('expected a finite number'), v.gtValue(0, 'expected a positive number')),
    routerDefaults.costScaleMs,
  ),
})
