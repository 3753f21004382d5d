/** One request of a workload: when it is sent, how long it is, what it shares with others. */
export interface TraceRequest {
  /** Position in the trace, from 0. */
  readonly index: number
  /** Intended send time, ms from the trace's start. */
  readonly arrivalMs: number
  readonly promptTokens: number
  readonly outputTokens: number
  /** Ids of the prompt's blocks of `Trace.blockTokens` tokens; equal leading ids mean a shared prefix. Empty: nothing is known of sharing. */
  readonly blockIds: readonly number[]
}

export interface Trace {
  readonly name: string
  /** Tokens per entry of blockIds; 0 when the trace has none. */
  readonly blockTokens: number
  readonly requests: readonly TraceRequest[]
  /** How the trace was changed on reading: spread ticks, cut, speed-up. For the report. */
  readonly notes: readonly string[]
}
