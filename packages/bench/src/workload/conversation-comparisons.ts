import { formatCount, formatNumber, formatShare } from '../report/format.js'
import type { TraceStatistics } from './describe-trace.js'

/** One figure by which a trace is held against Mooncake's conversation trace. */
export interface ConversationComparison {
  readonly label: string
  readonly of: (figures: TraceStatistics) => number | undefined
  readonly text: (value: number) => string
  /** How far a generated trace of any seed may be off, relative to the figure. */
  readonly tolerance: number
}

/** Early hits hang on a few sessions: their tolerance is wide because their spread from seed to seed is. */
export const conversationComparisons: readonly ConversationComparison[] = [
  { label: 'requests', of: figures => figures.requests, text: formatCount, tolerance: 0 },
  { label: 'duration, s', of: figures => figures.durationMs / 1000, text: formatCount, tolerance: 0.1 },
  { label: 'arrivals per second', of: figures => figures.arrivalsPerSecond, text: formatNumber, tolerance: 0.1 },
  { label: 'variation of arrivals in 3 s', of: figures => figures.arrivalVariation, text: formatNumber, tolerance: 0.1 },
  { label: 'prompt tokens, mean', of: figures => figures.promptTokens.mean, text: formatCount, tolerance: 0.06 },
  { label: 'prompt tokens, p50', of: figures => figures.promptTokens.p50, text: formatCount, tolerance: 0.1 },
  { label: 'prompt tokens, p95', of: figures => figures.promptTokens.p95, text: formatCount, tolerance: 0.15 },
  { label: 'prompt tokens, max', of: figures => figures.promptTokens.max, text: formatCount, tolerance: 0.02 },
  { label: 'output tokens, mean', of: figures => figures.outputTokens.mean, text: formatCount, tolerance: 0.03 },
  { label: 'output tokens, p50', of: figures => figures.outputTokens.p50, text: formatCount, tolerance: 0.03 },
  { label: 'output tokens, p95', of: figures => figures.outputTokens.p95, text: formatCount, tolerance: 0.06 },
  { label: 'share only their first block', of: figures => figures.onlyFirstBlockShare, text: formatShare, tolerance: 0.06 },
  { label: 'hit share, endless cache', of: figures => figures.prefixHitShare, text: formatShare, tolerance: 0.07 },
  { label: 'of the first 300 requests', of: figures => figures.prefixHitShareOfFirst[300], text: formatShare, tolerance: 0.9 },
  { label: 'of the first 1,000', of: figures => figures.prefixHitShareOfFirst[1000], text: formatShare, tolerance: 0.25 },
  { label: 'of the first 2,000', of: figures => figures.prefixHitShareOfFirst[2000], text: formatShare, tolerance: 0.2 },
]
