export interface MetricDefinition {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  /** Unit included; the metric's help text. */
  readonly meaning: string
  /** Upper bounds, of histograms. */
  readonly buckets?: readonly number[]
}

/** Seconds: from a cached prompt on an idle worker to a full queue of long ones. */
const WAITING = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
/** Seconds: long generations take minutes. */
const WHOLE = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800]
/** Seconds: a decision takes microseconds. */
const DECIDING = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01]

/**
 * Every metric, in Prometheus' habits: base units, `_total` for counters. `worker` is the worker's id; a worker's series
 * go when it leaves the fleet. An empty `worker` stands for requests that ended without one.
 */
export const metricDefinitions = {
  workers: {
    name: 'kvfleet_workers',
    type: 'gauge',
    labels: ['phase', 'health'],
    meaning: 'Workers in the fleet by phase and health.',
  },
  inFlightRequests: {
    name: 'kvfleet_in_flight_requests',
    type: 'gauge',
    labels: ['worker'],
    meaning: 'Requests on the worker between reservation and last byte.',
  },
  waitingPrefillTokens: {
    name: 'kvfleet_waiting_prefill_tokens',
    type: 'gauge',
    labels: ['worker'],
    meaning: 'Uncached prompt tokens of the requests on the worker that have no first token.',
  },
  requests: {
    name: 'kvfleet_requests_total',
    type: 'counter',
    labels: ['worker', 'outcome'],
    meaning:
      'Client requests that ended, by the worker that had them last. Outcomes: completed, failed, cancelled (by the client), aborted (by the fleet).',
  },
  requestDuration: {
    name: 'kvfleet_request_duration_seconds',
    type: 'histogram',
    labels: ['outcome'],
    buckets: WHOLE,
    meaning: 'From the arrival of a client request to the last byte of its response, in seconds.',
  },
  timeToFirstToken: {
    name: 'kvfleet_time_to_first_token_seconds',
    type: 'histogram',
    labels: ['worker'],
    buckets: WAITING,
    meaning: "From the arrival of a client request to the first byte of a successful response's body, in seconds.",
  },
  leases: {
    name: 'kvfleet_leases_total',
    type: 'counter',
    labels: ['worker', 'outcome'],
    meaning: 'Stays of requests on workers that ended. A request that was tried elsewhere has one for each worker.',
  },
  promptTokens: {
    name: 'kvfleet_prompt_tokens_total',
    type: 'counter',
    labels: ['worker'],
    meaning: 'Prompt tokens sent to the worker: exact where the router knew the ids, else estimated from the length of the text.',
  },
  cachedTokens: {
    name: 'kvfleet_cached_tokens_total',
    type: 'counter',
    labels: ['worker'],
    meaning: 'Prompt tokens sent to the worker that the prefix index found on it.',
  },
  decisions: {
    name: 'kvfleet_decisions_total',
    type: 'counter',
    labels: ['policy', 'worker'],
    meaning: 'Routing decisions by policy and chosen worker.',
  },
  decisionDuration: {
    name: 'kvfleet_decision_duration_seconds',
    type: 'histogram',
    labels: ['policy'],
    buckets: DECIDING,
    meaning: 'How long a routing decision took without finding the token ids, in seconds.',
  },
  kvEvents: {
    name: 'kvfleet_kv_events_total',
    type: 'counter',
    labels: ['worker'],
    meaning: 'KV events of the worker that were taken in.',
  },
  kvResets: {
    name: 'kvfleet_kv_resets_total',
    type: 'counter',
    labels: ['worker', 'reason'],
    meaning: "How often what was known of the worker's KV cache became void.",
  },
  drains: {
    name: 'kvfleet_drains_total',
    type: 'counter',
    labels: ['outcome'],
    meaning: 'Drains that ended: drained, or removed when the worker was taken out before.',
  },
  drainDuration: {
    name: 'kvfleet_drain_duration_seconds',
    type: 'histogram',
    labels: [],
    buckets: WHOLE,
    meaning: 'From the start of a drain to a worker whose machine may go, hooks included, in seconds.',
  },
} as const satisfies Record<string, MetricDefinition>

export type MetricKey = keyof typeof metricDefinitions
