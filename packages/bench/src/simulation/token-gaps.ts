import { GapCounts } from '../metrics/distribution.js'
import type { CountedGaps } from '../metrics/summarize.js'

/** Tokens of a simulated request that came at even distances. */
interface TokenRun {
  readonly count: number
  readonly firstAt: number
  readonly intervalMs: number
}

/**
 * Counts the gaps between tokens while they come; a token is a chunk. Inside a run every gap counts as the run's mean:
 * steps of one batch differ by microseconds.
 */
export class TokenGaps implements CountedGaps {
  readonly perToken = new GapCounts()
  readonly perChunk = this.perToken
  readonly lastTokenAt: Float64Array
  readonly firstChunkTokens: Uint16Array

  constructor(requests: number) {
    this.lastTokenAt = new Float64Array(requests).fill(Number.NaN)
    this.firstChunkTokens = new Uint16Array(requests).fill(1)
  }

  add(index: number, { count, firstAt, intervalMs }: TokenRun): void {
    const lastAt = this.lastTokenAt[index] as number
    if (!Number.isNaN(lastAt)) this.perToken.add(firstAt - lastAt)
    if (count > 1) this.perToken.add(intervalMs, count - 1)
    this.lastTokenAt[index] = firstAt + (count - 1) * intervalMs
  }
}
