/** One definition of a metric; a result names it by `id`, because tools differ by definition as much as by system. */
export interface MetricDefinition {
  readonly id: string
  readonly label: string
  readonly unit: 'ms' | 'tokens/s' | 'requests/s' | 'share' | 'requests'
  readonly better: 'lower' | 'higher'
  readonly definition: string
}

/** Keyed by the field of `RunSummary`. Times are model time: wall time multiplied by the replay's timeScale. */
export const metricDefinitions = {
  ttftMs: {
    id: 'ttft/intended-to-first-token',
    label: 'TTFT',
    unit: 'ms',
    better: 'lower',
    definition:
      'From the time at which the workload wanted the request sent to the arrival of the first chunk that carries tokens. Waiting in the client counts.',
  },
  itlMs: {
    id: 'itl/chunk-gap-per-token',
    label: 'ITL',
    unit: 'ms',
    better: 'lower',
    definition: 'Gap before each chunk after the first, divided by the tokens in it, counted once for each of its tokens; to 0.001 ms.',
  },
  chunkGapMs: {
    id: 'chunk-gap/between-chunks',
    label: 'chunk gap',
    unit: 'ms',
    better: 'lower',
    definition: 'Gap before each chunk after the first, counted once whatever it carries; to 0.001 ms.',
  },
  tpotMs: {
    id: 'tpot/first-to-last-token',
    label: 'TPOT',
    unit: 'ms',
    better: 'lower',
    definition:
      'Per request: from the first to the last token chunk, divided by the tokens after the first chunk. Requests of one chunk have none.',
  },
  e2eMs: {
    id: 'e2e/intended-to-end',
    label: 'E2E',
    unit: 'ms',
    better: 'lower',
    definition: 'From the intended send time to the end of the response.',
  },
  outputTokensPerSecond: {
    id: 'output-tokens/first-intended-to-last-end',
    label: 'output',
    unit: 'tokens/s',
    better: 'higher',
    definition: 'Output tokens of completed requests, divided by the span from the first intended send time to the last end.',
  },
  requestsPerSecond: {
    id: 'requests/first-intended-to-last-end',
    label: 'completed',
    unit: 'requests/s',
    better: 'higher',
    definition: 'Completed requests, divided by the span from the first intended send time to the last end.',
  },
  prefixHitShare: {
    id: 'prefix-hit/cached-over-prompt-tokens',
    label: 'prefix hits',
    unit: 'share',
    better: 'higher',
    definition: 'Cached over all prompt tokens, of completed requests whose usage reports cached tokens.',
  },
  failedRequests: {
    id: 'failed/requests',
    label: 'failed',
    unit: 'requests',
    better: 'lower',
    definition: 'Requests without a complete response. They are in no other metric but the counts and the send lag.',
  },
  sendLagMs: {
    id: 'send-lag/intended-to-sent',
    label: 'send lag',
    unit: 'ms',
    better: 'lower',
    definition: 'From the intended to the actual send time: how late the client itself was.',
  },
} as const satisfies Record<string, MetricDefinition>

export type MetricName = keyof typeof metricDefinitions

/** How every percentile of this package is computed. */
export const percentileDefinition = 'linear interpolation between order statistics (type 7 of Hyndman and Fan)'
