/** A Prometheus histogram: how many observations were at most each bound. */
export class Histogram {
  readonly bounds: readonly number[]
  readonly #counts: Float64Array
  #sum = 0
  #count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.#counts = new Float64Array(bounds.length)
  }

  observe(value: number): void {
    this.#sum += value
    this.#count++
    for (let index = 0; index < this.bounds.length; index++) {
      if (value <= (this.bounds[index] as number)) {
        ;(this.#counts[index] as number)++
        return
      }
    }
  }

  get sum(): number {
    return this.#sum
  }

  get count(): number {
    return this.#count
  }

  /** Cumulative, one per bound. */
  cumulative(): number[] {
    let total = 0
    return Array.from(this.#counts, count => (total += count))
  }
}
