import type { TraceStatistics } from './describe-trace.js'

/**
 * `describeTrace` of Mooncake's conversation trace (kvcache-ai/Mooncake, FAST25-release/traces/conversation_trace.jsonl,
 * Apache-2.0), read with the default options. Facts about the trace, not the trace: users fetch that from there.
 */
export const conversationFigures: TraceStatistics = {
  requests: 12_031,
  durationMs: 3_538_700,
  promptTokens: { mean: 12_035, p50: 6909, p95: 39_550, max: 126_195 },
  outputTokens: { mean: 342.62, p50: 350, p95: 698, max: 2000 },
  onlyFirstBlockShare: 0.612_75,
  prefixHitShare: 0.366_41,
  prefixHitShareOfFirst: { 300: 0.079_623, 1000: 0.212_09, 2000: 0.289_06 },
  arrivalsPerSecond: 3.3999,
  arrivalVariation: 0.328_26,
}
