import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { distributionOf, GapCounts } from './distribution.js'
import { percentile } from './percentile.js'

describe('percentile', () => {
  it('interpolates between order statistics as type 7 does', () => {
    // R: quantile(c(1, 2, 3, 4, 10), c(.1, .25, .5, .9, .99), type = 7)
    const sorted = [1, 2, 3, 4, 10]
    expect(percentile(sorted, 0.1)).toBeCloseTo(1.4, 12)
    expect(percentile(sorted, 0.25)).toBe(2)
    expect(percentile(sorted, 0.5)).toBe(3)
    expect(percentile(sorted, 0.9)).toBeCloseTo(7.6, 12)
    expect(percentile(sorted, 0.99)).toBeCloseTo(9.76, 12)
  })

  it('gives the only value at every p and NaN for none', () => {
    expect(percentile([7], 0)).toBe(7)
    expect(percentile([7], 0.99)).toBe(7)
    expect(percentile([], 0.5)).toBeNaN()
  })

  it('stays between the least and the greatest value and grows with p', () => {
    const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 })
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(values, share, share, (unsorted, one, other) => {
        const sorted = Float64Array.from(unsorted).sort()
        const low = percentile(sorted, Math.min(one, other))
        const high = percentile(sorted, Math.max(one, other))
        expect(low).toBeGreaterThanOrEqual(sorted[0] as number)
        expect(high).toBeLessThanOrEqual(sorted.at(-1) as number)
        expect(low).toBeLessThanOrEqual(high + 1e-9 * Math.abs(high))
      }),
    )
  })
})

describe('GapCounts', () => {
  it('has the percentiles of the values that it counted, to 0.001 ms', () => {
    const gap = fc.tuple(fc.double({ min: 0, max: 1000, noNaN: true }), fc.integer({ min: 1, max: 20 }))
    fc.assert(
      fc.property(fc.array(gap, { minLength: 1, maxLength: 60 }), gaps => {
        const counts = new GapCounts()
        for (const [gapMs, count] of gaps) counts.add(gapMs, count)
        const all = Float64Array.from(gaps.flatMap(([gapMs, count]) => new Array<number>(count).fill(gapMs)))
        const expected = distributionOf(all)
        const actual = counts.distribution()
        expect(actual.count).toBe(expected.count)
        expect(actual.max).toBe(expected.max)
        expect(actual.mean).toBeCloseTo(expected.mean, 6)
        for (const name of ['p50', 'p90', 'p95', 'p99'] as const)
          expect(Math.abs(actual[name] - expected[name])).toBeLessThanOrEqual(0.000_51)
      }),
    )
  })

  it('is NaN where nothing was counted', () => {
    expect(new GapCounts().distribution()).toEqual({
      count: 0,
      mean: Number.NaN,
      p50: Number.NaN,
      p90: Number.NaN,
      p95: Number.NaN,
      p99: Number.NaN,
      max: Number.NaN,
    })
  })
})
