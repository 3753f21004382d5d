import { type Clock, systemClock } from '@kvfleet/core'
import * as v from 'valibot'
import { defaults } from '../defaults.js'

/** An OpenAI-compatible server: one engine, or a router's gateway. */
export interface ReplayTarget {
  /** Base URL, without `/v1`. */
  readonly url: string
  readonly model: string
  /** Sent with every request (an API key, say). Never logged or put in errors. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface ReplayProgress {
  readonly sent: number
  readonly completed: number
  readonly failed: number
  readonly total: number
}

export interface ReplayOptions {
  /**
   * Model milliseconds per wall millisecond: 10 replays the trace ten times as fast, against a target that runs at
   * the same scale. All times in the result are model time. Default: 1.
   */
  readonly timeScale?: number
  readonly clock?: Clock
  /** Ends the replay early: nothing more is sent, what is in flight fails as `aborted`. The result covers what was sent. */
  readonly signal?: AbortSignal
  /** After every request that is sent or ends. */
  readonly onProgress?: (progress: ReplayProgress) => void
  /** Holds requests back above this many in flight; they count as late. Default: none, an open loop. */
  readonly maxInFlight?: number
  /** A request fails after this long, in model time. Default: 10 minutes. */
  readonly requestTimeoutMs?: number
  /** Prompt ids are below this. Default: 32,000. */
  readonly vocabularySize?: number
  /** Response header that names the worker. Default: `x-kvfleet-worker`. */
  readonly workerHeader?: string
  /** Ask for the token count with every chunk (vLLM: `continuous_usage_stats`), for engines that put several tokens in one. Default: false. */
  readonly continuousUsage?: boolean
}

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0))
const text = v.pipe(v.string(), v.minLength(1))

export const replayTargetSchema = v.strictObject({
  // `replay` has checked it: an error of the schema would quote the value.
  url: v.string(),
  model: text,
  headers: v.optional(v.record(v.string(), v.string()), {}),
})

export const replayOptionsSchema = v.strictObject({
  timeScale: v.optional(positive, 1),
  clock: v.optional(
    v.custom<Clock>(value => typeof (value as Partial<Clock> | null)?.schedule === 'function'),
    () => systemClock,
  ),
  signal: v.optional(v.instance(AbortSignal)),
  onProgress: v.optional(v.custom<(progress: ReplayProgress) => void>(value => typeof value === 'function')),
  maxInFlight: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  requestTimeoutMs: v.optional(positive, defaults.requestTimeoutMs),
  vocabularySize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(2)), defaults.vocabularySize),
  workerHeader: v.optional(text, defaults.workerHeader),
  continuousUsage: v.optional(v.boolean(), false),
})
