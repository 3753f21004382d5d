/**
 * What was measured of one request. All times are ms on one clock; `intendedAt` is when the workload wanted it sent, and
 * every latency counts from there.
 */
export interface RequestRecord {
  readonly index: number
  readonly intendedAt: number
  readonly sentAt: number
  readonly firstTokenAt: number | undefined
  readonly endedAt: number
  readonly promptTokens: number
  /** From the engine's usage; undefined when it reports none. */
  readonly cachedTokens: number | undefined
  readonly outputTokens: number
  /** Arrival of each chunk that carried tokens, and how many it carried. */
  readonly chunkAt: Float64Array
  readonly chunkTokens: Uint16Array
  readonly workerId: string | undefined
  readonly outcome: 'completed' | 'failed'
  readonly error: string | undefined
}
