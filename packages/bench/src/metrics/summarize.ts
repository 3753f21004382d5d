import { type Distribution, distributionOf, GapCounts } from './distribution.js'
import type { RequestRecord } from './request-record.js'

/** The figures of one run; `metricDefinitions` says what each field means. */
export interface RunSummary {
  readonly requests: number
  readonly completedRequests: number
  readonly failedRequests: number
  /** From the first intended send time to the last end. */
  readonly spanMs: number
  readonly ttftMs: Distribution
  readonly itlMs: Distribution
  readonly chunkGapMs: Distribution
  readonly tpotMs: Distribution
  readonly e2eMs: Distribution
  readonly sendLagMs: Distribution
  readonly promptTokens: number
  readonly outputTokens: number
  readonly outputTokensPerSecond: number
  readonly requestsPerSecond: number
  /** undefined when no engine reported cached tokens. */
  readonly prefixHitShare: number | undefined
}

/** Gaps between tokens that were counted while they happened, in place of `chunkAt` and `chunkTokens` of the records. */
export interface CountedGaps {
  readonly perToken: GapCounts
  readonly perChunk: GapCounts
  /** By request index: when its last token chunk arrived, and how many tokens the first one carried. */
  readonly lastTokenAt: Float64Array
  readonly firstChunkTokens: Uint16Array
}

export function summarize(records: readonly RequestRecord[], counted?: CountedGaps): RunSummary {
  const completed = records.filter(record => record.outcome === 'completed')
  let firstIntended = Number.POSITIVE_INFINITY
  let lastEnd = Number.NEGATIVE_INFINITY
  for (const { intendedAt, endedAt } of records) {
    firstIntended = Math.min(firstIntended, intendedAt)
    lastEnd = Math.max(lastEnd, endedAt)
  }
  const spanMs = records.length === 0 ? 0 : lastEnd - firstIntended
  const outputTokens = sum(completed, record => record.outputTokens)
  const gaps = counted ?? countGaps(completed)
  return {
    requests: records.length,
    completedRequests: completed.length,
    failedRequests: records.length - completed.length,
    spanMs,
    ttftMs: collect(completed, ({ firstTokenAt, intendedAt }) => (firstTokenAt === undefined ? undefined : firstTokenAt - intendedAt)),
    itlMs: gaps.perToken.distribution(),
    chunkGapMs: gaps.perChunk.distribution(),
    tpotMs: collect(completed, record => timePerOutputToken(record, counted)),
    e2eMs: collect(completed, ({ endedAt, intendedAt }) => endedAt - intendedAt),
    sendLagMs: collect(records, ({ sentAt, intendedAt }) => sentAt - intendedAt),
    promptTokens: sum(completed, record => record.promptTokens),
    outputTokens,
    outputTokensPerSecond: spanMs === 0 ? 0 : outputTokens / (spanMs / 1000),
    requestsPerSecond: spanMs === 0 ? 0 : completed.length / (spanMs / 1000),
    prefixHitShare: prefixHitShare(completed),
  }
}

function countGaps(records: readonly RequestRecord[]): { readonly perToken: GapCounts; readonly perChunk: GapCounts } {
  const perToken = new GapCounts()
  const perChunk = new GapCounts()
  for (const { chunkAt, chunkTokens } of records) {
    for (let chunk = 1; chunk < chunkAt.length; chunk++) {
      const gapMs = (chunkAt[chunk] as number) - (chunkAt[chunk - 1] as number)
      const tokens = chunkTokens[chunk] as number
      perChunk.add(gapMs)
      if (tokens > 0) perToken.add(gapMs / tokens, tokens)
    }
  }
  return { perToken, perChunk }
}

function timePerOutputToken(record: RequestRecord, counted: CountedGaps | undefined): number | undefined {
  const { firstTokenAt, outputTokens, chunkAt, chunkTokens, index } = record
  const lastTokenAt = counted?.lastTokenAt[index] ?? chunkAt.at(-1)
  const later = outputTokens - (counted?.firstChunkTokens[index] ?? chunkTokens[0] ?? 0)
  if (firstTokenAt === undefined || lastTokenAt === undefined || later <= 0) return undefined
  return (lastTokenAt - firstTokenAt) / later
}

function prefixHitShare(records: readonly RequestRecord[]): number | undefined {
  const reported = records.filter(record => record.cachedTokens !== undefined)
  const promptTokens = sum(reported, record => record.promptTokens)
  return promptTokens === 0 ? undefined : sum(reported, record => record.cachedTokens ?? 0) / promptTokens
}

function collect(records: readonly RequestRecord[], of: (record: RequestRecord) => number | undefined): Distribution {
  const values = new Float64Array(records.length)
  let count = 0
  for (const record of records) {
    const value = of(record)
    if (value !== undefined) values[count++] = value
  }
  return distributionOf(values.subarray(0, count))
}

function sum(records: readonly RequestRecord[], of: (record: RequestRecord) => number): number {
  let total = 0
  for (const record of records) total += of(record)
  return total
}
