import { prefillMs, standInProfile } from '@kvfleet/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { routingRequest } from '../routing-request.js'
import { candidateDouble, contextDouble } from '../testing/index.js'
import { expectedCost } from './expected-cost.js'

const request = routingRequest({ id: 'r', promptTokens: 10_000, maxOutputTokens: 100 })

interface Situation {
  readonly requests: number
  readonly waitingRequests: number
  readonly waitingPrefillTokens: number
  readonly kvTokens: number
  readonly cachedTokens: number
}

/** Round figures, so that the sums below can be done by hand. */
const profile = {
  ...standInProfile,
  stepBaseMs: 12,
  prefillMsPerToken: 0.085,
  prefillMsPerTokenPerContextToken: 5e-7,
  decodeMsPerSequence: 0.06,
  decodeMsPerContextToken: 2.5e-5,
}
const scorer = expectedCost({ profile })
const evaluate = ({ cachedTokens, ...inFlight }: Situation) => {
  const candidate = candidateDouble({ inFlight })
  const context = contextDouble({ overlap: () => ({ blocks: cachedTokens / 16, tokens: cachedTokens }) })
  return { score: scorer.score(request, candidate, context), detail: scorer.detail?.(request, candidate, context) }
}

const situation = fc.record({
  requests: fc.nat(200),
  waitingRequests: fc.nat(50),
  waitingPrefillTokens: fc.nat(500_000),
  kvTokens: fc.nat(1_000_000),
  cachedTokens: fc.nat(9_999),
})

describe('the expected cost', () => {
  it('is the prefill time on an idle worker', () => {
    const idle = { requests: 0, waitingRequests: 0, waitingPrefillTokens: 0, kvTokens: 0, cachedTokens: 0 }
    // Two steps of 12 ms, 10,000 tokens of 0.085 ms, 5e-7 ms for each of 10,000 · 5,000 pairs.
    expect(evaluate(idle).detail).toMatchObject({ cachedTokens: 0, queuedMs: 0, interferenceMs: 0, decodeMs: 0 })
    expect(evaluate(idle).detail?.costMs).toBeCloseTo(899)
    expect(evaluate({ ...idle, cachedTokens: 9_999 }).detail?.costMs).toBeLessThan(13)
  })

  it('adds the queue, what the others pay and the decode load', () => {
    const { detail, score } = evaluate({ requests: 5, waitingRequests: 2, waitingPrefillTokens: 8_000, kvTokens: 20_000, cachedTokens: 0 })
    expect(detail?.queuedMs).toBeCloseTo(2 * (12 + 4_000 * (0.085 + 5e-7 * 2_000)))
    expect(detail?.interferenceMs).toBeCloseTo(5 * 899)
    expect(detail?.decodeMs).toBeCloseTo(100 * (3 * 0.06 + 20_000 * 2.5e-5))
    const { uncachedMs = 0, queuedMs = 0, interferenceMs = 0, decodeMs = 0, costMs = 0 } = detail ?? {}
    expect(costMs).toBeCloseTo(uncachedMs + queuedMs + 0.2 * interferenceMs + 0.1 * decodeMs)
    expect(score).toBeCloseTo(1 / (1 + costMs / 1000))
  })

  it('never prefers more load or less cache, other things equal', () => {
    fc.assert(
      fc.property(
        situation,
        fc.constantFrom('requests', 'waitingPrefillTokens', 'kvTokens', 'cachedTokens'),
        fc.integer({ min: 1, max: 5_000 }),
        (a, field, more) => {
          fc.pre(a.waitingRequests <= a.requests)
          const b = { ...a, [field]: a[field] + more }
          const [less, greater] = [evaluate(a).score, evaluate(b).score]
          if (field === 'cachedTokens') {
            if (b.cachedTokens < request.promptTokens) expect(greater).toBeGreaterThanOrEqual(less)
          } else {
            expect(greater).toBeLessThanOrEqual(less)
          }
        },
      ),
    )
  })

  it("uses a worker's own profile before the option, and the option before the stand-in", () => {
    const slow = { ...standInProfile, prefillMsPerToken: 1 }
    const fast = { ...standInProfile, prefillMsPerToken: 0.01 }
    const cost = (own: typeof slow | undefined, option: typeof slow | undefined) =>
      expectedCost(option === undefined ? {} : { profile: option }).detail?.(
        request,
        candidateDouble(own === undefined ? {} : { profile: own }),
        contextDouble(),
      ).uncachedMs as number
    expect(cost(fast, slow)).toBeLessThan(200)
    expect(cost(undefined, slow)).toBeGreaterThan(10_000)
    expect(cost(undefined, undefined)).toBeCloseTo(prefillMs(standInProfile, 10_000))
  })
})
