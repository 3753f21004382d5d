import { describe, expect, it } from 'vitest'
import { nextInteger, type Random, seededRandom, systemRandom } from './index.js'

const take = (random: Random, count: number) => Array.from({ length: count }, () => random.next())

describe('random', () => {
  it('repeats for the same seed and differs for another', () => {
    expect(take(seededRandom(7), 20)).toEqual(take(seededRandom(7), 20))
    expect(take(seededRandom('7/arrivals'), 20)).toEqual(take(seededRandom('7/arrivals'), 20))
    expect(take(seededRandom(7), 20)).not.toEqual(take(seededRandom(8), 20))
    expect(take(seededRandom('7/arrivals'), 20)).not.toEqual(take(seededRandom('7/lengths'), 20))
  })

  it('gives unrelated streams for neighbouring seeds', () => {
    const first = Array.from({ length: 300 }, (_, seed) => Math.floor(seededRandom(seed).next() * 3))
    for (const value of [0, 1, 2]) expect(first.filter(one => one === value).length).toBeGreaterThan(70)
  })

  it('is uniform in [0, 1)', () => {
    for (const random of [seededRandom(1), seededRandom('text'), systemRandom]) {
      const values = take(random, 20_000)
      expect(Math.min(...values)).toBeGreaterThanOrEqual(0)
      expect(Math.max(...values)).toBeLessThan(1)
      const bins = new Array<number>(10).fill(0)
      for (const value of values) bins[Math.floor(value * 10)]!++
      // χ² with 9 degrees of freedom: above 33.7 once in 10,000 runs.
      expect(bins.reduce((sum, seen) => sum + (seen - 2000) ** 2 / 2000, 0)).toBeLessThan(45)
    }
  })

  it('draws every integer below a bound', () => {
    const random = seededRandom(3)
    expect(new Set(Array.from({ length: 200 }, () => nextInteger(random, 6)))).toEqual(new Set([0, 1, 2, 3, 4, 5]))
  })
})
