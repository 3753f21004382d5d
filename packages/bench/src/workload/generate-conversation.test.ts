import { describe, expect, it } from 'vitest'
import { conversationComparisons } from './conversation-comparisons.js'
import { conversationFigures } from './conversation-figures.js'
import { describeTrace } from './describe-trace.js'
import { generateConversationTrace } from './generate-conversation.js'
import type { Trace } from './trace.js'

describe('generateConversationTrace', () => {
  it.each([1, 2, 3, 4])('is within the stated tolerances of the real trace for seed %i', seed => {
    const generated = describeTrace(generateConversationTrace({ seed }))
    for (const { label, of, tolerance } of conversationComparisons) {
      const real = of(conversationFigures) as number
      const off = Math.abs((of(generated) as number) / real - 1)
      expect(off, `${label}: ${of(generated)} beside ${real}`).toBeLessThanOrEqual(tolerance)
    }
  })

  it('repeats for one seed and differs for another', () => {
    const options = { requests: 100 }
    expect(generateConversationTrace({ ...options, seed: 7 })).toEqual(generateConversationTrace({ ...options, seed: 7 }))
    expect(generateConversationTrace({ ...options, seed: 7 }).requests).not.toEqual(
      generateConversationTrace({ ...options, seed: 8 }).requests,
    )
  })

  it('begins with the shorter trace of the same seed', () => {
    const short = generateConversationTrace({ requests: 200 })
    const long = generateConversationTrace({ requests: 2000 })
    expect(long.requests.slice(0, 200)).toEqual(short.requests)
  })

  it('makes a well-formed trace: ordered, a block id for each started block, ids that tell whole prefixes apart', () => {
    const { requests, blockTokens } = generateConversationTrace({ requests: 3000 })
    const before = new Map<number, number>()
    const faults = requests.filter(({ index, arrivalMs, promptTokens, blockIds }, position) => {
      const unordered = index !== position || arrivalMs < (requests[position - 1]?.arrivalMs ?? 0)
      const torn = blockIds.some((id, block) => {
        const previous = blockIds[block - 1] ?? -1
        const known = before.get(id) ?? previous
        before.set(id, previous)
        return known !== previous
      })
      return unordered || torn || blockIds.length !== Math.ceil(promptTokens / blockTokens)
    })
    expect(faults).toEqual([])
    expect(requests.every(request => request.blockIds[0] === 0)).toBe(true)
  })

  it('takes other parameters: a rate, a tick, a longer system prompt', () => {
    const trace = generateConversationTrace({
      requests: 1000,
      tickMs: 3000,
      model: {
        requestsPerSecond: 10,
        commonBlocks: 4,
        firstPromptTokens: [
          [0, 4000],
          [1, 4000],
        ],
      },
    })
    expect(describeTrace(trace).arrivalsPerSecond).toBeGreaterThan(8)
    expect(trace.requests.every(request => request.arrivalMs % 3000 === 0)).toBe(true)
    expect(trace.requests.every(request => request.blockIds.slice(0, 4).join() === '0,1,2,3')).toBe(true)
  })
})

describe('describeTrace', () => {
  const trace: Trace = {
    name: 'test',
    blockTokens: 10,
    notes: [],
    requests: [
      { index: 0, arrivalMs: 0, promptTokens: 30, outputTokens: 1, blockIds: [0, 1, 2] },
      { index: 1, arrivalMs: 1000, promptTokens: 20, outputTokens: 3, blockIds: [0, 3] },
      { index: 2, arrivalMs: 9000, promptTokens: 40, outputTokens: 2, blockIds: [0, 1, 2, 4] },
      { index: 3, arrivalMs: 10_000, promptTokens: 10, outputTokens: 2, blockIds: [5] },
    ],
  }

  it('counts leading blocks that were seen before, by hand', () => {
    const figures = describeTrace(trace)
    expect(figures.prefixHitShare).toBe((1 + 3) / 10)
    expect(figures.onlyFirstBlockShare).toBe(0.25)
    expect(figures.prefixHitShareOfFirst).toEqual({ 300: undefined, 1000: undefined, 2000: undefined })
  })

  it('describes arrivals in windows of 3 s and lengths by percentile', () => {
    const figures = describeTrace(trace)
    expect(figures.arrivalsPerSecond).toBe(0.4)
    // Whole windows hold 2, 0 and 0 requests: mean 2/3, variance 8/9.
    expect(figures.arrivalVariation).toBeCloseTo(Math.sqrt(8 / 9) / (2 / 3), 12)
    expect(figures.promptTokens).toEqual({ mean: 25, p50: 25, p95: percentileOf40And30(), max: 40 })
    expect(figures.outputTokens.p50).toBe(2)
  })

  const percentileOf40And30 = () => 30 + 10 * 0.85
})
