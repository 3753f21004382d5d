import type { QuantileTable } from './quantile-table.js'

/** What `generateConversationTrace` draws from. Lengths in tokens. */
export interface ConversationModel {
  /** Mean arrivals of requests, all sessions together. */
  readonly requestsPerSecond: number
  /**
   * 0: Poisson arrivals. Up to 1: the rate itself varies from window to window of 3 s, by this share of an
   * exponentially distributed factor.
   */
  readonly burstiness: number
  /** Tokens that every prompt begins with (a system prompt), in whole blocks. */
  readonly commonBlocks: number
  readonly firstPromptTokens: QuantileTable
  /** Sessions with a shorter first prompt have one turn only: probes and automatic calls, not people. */
  readonly singleTurnBelowTokens: number
  readonly outputTokens: QuantileTable
  /** P(another turn) after the first, second, … turn; the last entry holds for all later ones. */
  readonly continueProbability: readonly number[]
  /** Sessions whose prompt is longer go on less often, by this factor. */
  readonly longPrompt: { readonly aboveTokens: number; readonly continueFactor: number }
  /** Between the arrivals of two turns of a session: answer, reading, typing. */
  readonly turnGapMs: QuantileTable
  /** What the second turn adds to the prompt and the answer before it; negative where the client drops part of them. */
  readonly secondTurnAddedTokens: QuantileTable
  /** What each later turn adds: documents come early in a session. */
  readonly laterTurnAddedTokens: QuantileTable
  /** Share of later turns that send the same prompt again. */
  readonly retryShare: number
  /** Share of later turns that keep only a part of the prompt before and go on differently. */
  readonly forkShare: number
  /** Which part of the prompt before a fork keeps, 0 to 1. */
  readonly forkKeeps: QuantileTable
  /** How much a fork's prompt has after the kept part. */
  readonly forkTokens: QuantileTable
  /** Context window; longer prompts are cut to it. */
  readonly maxPromptTokens: number
}

/**
 * Fitted to Mooncake's conversation trace: quantiles of lengths and gaps as measured there, with sessions told by their
 * shared blocks. `continueProbability` is a little above what was measured, because a window of an hour cuts sessions at
 * both ends; first prompts are moved a little for the same reason; `longPrompt` was fitted to the hit rate.
 */
// biome-ignore format: tables read better in rows
export const conversationModel: ConversationModel = {
  requestsPerSecond: 12_031 / 3_537,
  burstiness: 0.1,
  commonBlocks: 1,
  firstPromptTokens: [
    [0, 891], [0.05, 897], [0.1, 904], [0.15, 936], [0.2, 1062], [0.25, 1269], [0.3, 1583], [0.4, 3300], [0.5, 4550], [0.6, 6250],
    [0.7, 9735], [0.75, 11_946], [0.8, 15_000], [0.85, 19_000], [0.9, 25_500], [0.95, 40_500], [0.98, 66_000], [0.99, 88_000],
    [0.995, 111_632], [1, 126_195],
  ],
  outputTokens: [
    [0, 1], [0.02, 3], [0.05, 10], [0.1, 24], [0.15, 46], [0.2, 100], [0.25, 156], [0.3, 213], [0.4, 291], [0.5, 350], [0.6, 399],
    [0.7, 447], [0.8, 504], [0.9, 597], [0.95, 698], [0.98, 892], [0.99, 1119], [0.995, 1568], [0.999, 2000], [1, 2000],
  ],
  singleTurnBelowTokens: 1000,
  continueProbability: [0.425, 0.455, 0.56, 0.61, 0.66, 0.75],
  longPrompt: { aboveTokens: 30_000, continueFactor: 0.6 },
  turnGapMs: [
    [0, 3000], [0.01, 12_000], [0.05, 30_000], [0.1, 42_000], [0.2, 60_000], [0.3, 75_000], [0.4, 96_000], [0.5, 123_000], [0.6, 162_000],
    [0.7, 222_000], [0.8, 318_000], [0.9, 480_000], [0.95, 615_000], [0.98, 1_031_000], [0.99, 1_477_000], [1, 3_030_000],
  ],
  secondTurnAddedTokens: [
    [0, -1197], [0.01, -71], [0.05, -16], [0.1, -3], [0.2, 8], [0.3, 12], [0.4, 21], [0.5, 34], [0.6, 136], [0.7, 534], [0.75, 1469],
    [0.8, 3310], [0.85, 4138], [0.9, 5517], [0.95, 8623], [0.98, 14_116], [0.99, 20_780], [1, 91_467],
  ],
  laterTurnAddedTokens: [
    [0, -447], [0.01, -42], [0.05, -5], [0.1, 5], [0.2, 8], [0.3, 11], [0.4, 15], [0.5, 23], [0.6, 40], [0.7, 89], [0.75, 145],
    [0.8, 272], [0.85, 548], [0.9, 2098], [0.95, 5300], [0.98, 9177], [0.99, 13_526], [1, 38_787],
  ],
  retryShare: 0.025,
  forkShare: 0.15,
  forkKeeps: [[0, 0.01], [0.1, 0.07], [0.3, 0.13], [0.5, 0.22], [0.6, 0.3], [0.75, 0.47], [0.8, 0.55], [0.9, 0.9], [1, 0.99]],
  forkTokens: [
    [0, 10], [0.05, 896], [0.1, 1773], [0.2, 4985], [0.3, 7016], [0.4, 8542], [0.5, 9567], [0.6, 10_940], [0.7, 13_680], [0.8, 15_906],
    [0.9, 19_891], [0.95, 26_341], [0.99, 39_348], [1, 94_968],
  ],
  maxPromptTokens: 126_195,
}
