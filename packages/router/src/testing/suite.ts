import { standInProfile } from '@kvfleet/core'
import type { Candidate } from '../policy.js'
import { type RoutingRequest, routingRequest } from '../routing-request.js'
import { type ContextDoubleOptions, candidateDouble } from './doubles.js'

/** What the suites need of a test framework: vitest's and jest's `it` and `expect` fit, so do a few lines over node:assert. */
export interface SuiteTools {
  readonly it: (name: string, run: () => void | Promise<void>) => unknown
  readonly expect: (actual: unknown) => { toBe(expected: unknown): unknown; toEqual(expected: unknown): unknown }
}

/** Requests that differ in everything a strategy may look at, edges included. Frozen. */
export function edgeRequests(): readonly RoutingRequest[] {
  const tokens = Uint32Array.from({ length: 1000 }, (_, at) => at)
  return [
    routingRequest({ id: 'empty' }),
    routingRequest({ id: 'one-token', tokens: Uint32Array.of(1) }),
    routingRequest({ id: 'ids', tokens, model: 'm', maxOutputTokens: 100, sessionId: 's' }),
    routingRequest({ id: 'estimated', promptTokens: 1000, maxOutputTokens: 0 }),
    routingRequest({ id: 'adapter', promptTokens: 100, lora: 'adapter', cacheSalt: 'salt' }),
    routingRequest({ id: 'huge', promptTokens: 10_000_000, maxOutputTokens: 2 ** 31 }),
    routingRequest({ id: 'decode', promptTokens: 100, role: 'decode', excludedWorkers: ['other'] }),
  ].map(request => Object.freeze(request))
}

/** No situation is earlier: a clock is never behind the time at which a worker became ready. */
const EARLIEST = 1e6

/** Candidates from idle to hopeless. */
export function edgeCandidates(): readonly Candidate[] {
  const busy = { requests: 20, waitingRequests: 5, waitingPrefillTokens: 40_000, kvTokens: 100_000 }
  return [
    candidateDouble({ id: 'idle' }),
    candidateDouble({ id: 'just-ready', readyAt: EARLIEST }),
    candidateDouble({ id: 'busy', inFlight: busy, load: { runningRequests: 15, waitingRequests: 5, kvUsage: 0.9, at: 5 } }),
    candidateDouble({ id: 'full', inFlight: busy, maxRunningRequests: 20, load: { kvUsage: 1, awake: false } }),
    candidateDouble({ id: 'waits-for-nothing', inFlight: { requests: 3, waitingRequests: 3 } }),
    candidateDouble({ id: 'rank', rank: 3, blockSize: 1, labels: { tier: 'spot' }, profile: standInProfile }),
    candidateDouble({ id: 'absurd', inFlight: { requests: 1e9, waitingRequests: 1e9, waitingPrefillTokens: 1e15, kvTokens: 1e15 } }),
  ]
}

/** Situations: nothing cached early on, and late with everything cached on some. */
export function edgeContexts(): readonly ContextDoubleOptions[] {
  return [
    { now: EARLIEST },
    { now: 1e9, seed: 7, sequence: 12_345, overlap: ({ id }) => (id === 'busy' ? { blocks: 62, tokens: 992 } : { blocks: 0, tokens: 0 }) },
    { now: EARLIEST + 1, seed: 1, sequence: 1, overlap: () => ({ blocks: 1, tokens: 0 }) },
  ]
}
