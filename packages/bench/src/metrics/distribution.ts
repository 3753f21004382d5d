import { percentile } from './percentile.js'

/** Percentiles by linear interpolation (type 7); NaN where there is nothing to measure, which JSON writes as null. */
export interface Distribution {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** Sorts `values` in place. */
export function distributionOf(values: Float64Array): Distribution {
  values.sort()
  let sum = 0
  for (const value of values) sum += value
  return {
    count: values.length,
    mean: sum / values.length,
    p50: percentile(values, 0.5),
    p90: percentile(values, 0.9),
    p95: percentile(values, 0.95),
    p99: percentile(values, 0.99),
    max: values.at(-1) ?? Number.NaN,
  }
}

const RESOLUTION_PER_MS = 1000

/**
 * Millions of gaps, kept as counts by value. Values are rounded to 0.001 ms, finer than any client's clock; percentiles
 * are those of the rounded values, mean and max are exact.
 */
export class GapCounts {
  readonly #counts = new Map<number, number>()
  #total = 0
  #sumMs = 0
  #maxMs = Number.NaN

  add(gapMs: number, count = 1): void {
    const key = Math.round(gapMs * RESOLUTION_PER_MS)
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + count)
    this.#total += count
    this.#sumMs += gapMs * count
    if (!(gapMs <= this.#maxMs)) this.#maxMs = gapMs
  }

  distribution(): Distribution {
    const keys = Float64Array.from(this.#counts.keys()).sort()
    const upTo = new Float64Array(keys.length)
    let seen = 0
    for (let index = 0; index < keys.length; index++) {
      seen += this.#counts.get(keys[index] as number) as number
      upTo[index] = seen
    }
    /** The value at a place in the sorted list of all gaps. */
    const at = (place: number): number => {
      let low = 0
      let high = keys.length - 1
      while (low < high) {
        const middle = (low + high) >> 1
        if ((upTo[middle] as number) > place) high = middle
        else low = middle + 1
      }
      return (keys[low] as number) / RESOLUTION_PER_MS
    }
    const quantile = (p: number): number => {
      if (this.#total === 0) return Number.NaN
      const position = (this.#total - 1) * p
      const below = Math.floor(position)
      const low = at(below)
      return position === below ? low : low + (at(below + 1) - low) * (position - below)
    }
    return {
      count: this.#total,
      mean: this.#sumMs / this.#total,
      p50: quantile(0.5),
      p90: quantile(0.9),
      p95: quantile(0.95),
      p99: quantile(0.99),
      max: this.#maxMs,
    }
  }
}
