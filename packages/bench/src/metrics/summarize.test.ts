import { describe, expect, it } from 'vitest'
import { metricDefinitions } from './metric-definitions.js'
import type { RequestRecord } from './request-record.js'
import { summarize } from './summarize.js'

function record(change: Partial<RequestRecord>): RequestRecord {
  return {
    index: 0,
    intendedAt: 0,
    sentAt: 0,
    firstTokenAt: undefined,
    endedAt: 0,
    promptTokens: 0,
    cachedTokens: undefined,
    outputTokens: 0,
    chunkAt: new Float64Array(0),
    chunkTokens: new Uint16Array(0),
    workerId: undefined,
    outcome: 'completed',
    error: undefined,
    ...change,
  }
}

/** Sent 10 ms late; chunks of 1, 2 and 1 tokens at 100, 140 and 150 ms. */
const first = record({
  index: 0,
  intendedAt: 0,
  sentAt: 10,
  firstTokenAt: 100,
  endedAt: 151,
  promptTokens: 1000,
  cachedTokens: 250,
  outputTokens: 4,
  chunkAt: Float64Array.of(100, 140, 150),
  chunkTokens: Uint16Array.of(1, 2, 1),
})
const second = record({
  index: 1,
  intendedAt: 1000,
  sentAt: 1000,
  firstTokenAt: 1300,
  endedAt: 2000,
  promptTokens: 1000,
  cachedTokens: 750,
  outputTokens: 1,
  chunkAt: Float64Array.of(1300),
  chunkTokens: Uint16Array.of(1),
})
const failed = record({ index: 2, intendedAt: 500, sentAt: 530, endedAt: 600, promptTokens: 77, outcome: 'failed', error: 'HTTP 503' })

describe('summarize', () => {
  it('counts latencies from the intended send time', () => {
    const summary = summarize([first, second])
    expect(summary.ttftMs).toMatchObject({ count: 2, mean: 200, p50: 200, max: 300 })
    expect(summary.e2eMs).toMatchObject({ p50: (151 + 1000) / 2, max: 1000 })
    expect(summary.sendLagMs).toMatchObject({ mean: 5, max: 10 })
  })

  it('attributes the gap before a chunk to each of its tokens, and keeps the gaps between chunks apart', () => {
    const { itlMs, chunkGapMs } = summarize([first])
    expect(itlMs).toMatchObject({ count: 3, mean: (20 + 20 + 10) / 3, p50: 20, max: 20 })
    expect(chunkGapMs).toMatchObject({ count: 2, mean: 25, max: 40 })
  })

  it('divides the time after the first chunk by the tokens after it', () => {
    const { tpotMs } = summarize([first, second])
    expect(tpotMs.count).toBe(1)
    expect(tpotMs.mean).toBeCloseTo(50 / 3, 10)
  })

  it('divides tokens by the span from the first intended send time to the last end', () => {
    const summary = summarize([first, second])
    expect(summary.spanMs).toBe(2000)
    expect(summary.outputTokensPerSecond).toBe(2.5)
    expect(summary.requestsPerSecond).toBe(1)
  })

  it('takes the prefix hit share over the requests that report cached tokens', () => {
    expect(summarize([first, second]).prefixHitShare).toBe(0.5)
    expect(summarize([first, { ...second, cachedTokens: undefined }]).prefixHitShare).toBe(0.25)
    expect(summarize([{ ...second, cachedTokens: undefined }]).prefixHitShare).toBeUndefined()
  })

  it('leaves failed requests out of every metric but the counts and the send lag', () => {
    const summary = summarize([first, failed])
    expect(summary).toMatchObject({ requests: 2, completedRequests: 1, failedRequests: 1, promptTokens: 1000 })
    expect(summary.ttftMs.count).toBe(1)
    expect(summary.sendLagMs).toMatchObject({ count: 2, max: 30 })
  })

  it('has no figures for no records', () => {
    const summary = summarize([])
    expect(summary).toMatchObject({ requests: 0, spanMs: 0, outputTokensPerSecond: 0 })
    expect(summary.ttftMs.mean).toBeNaN()
  })
})

describe('metricDefinitions', () => {
  it('defines every figure of a summary under an id of its own', () => {
    const counts = ['requests', 'completedRequests', 'spanMs', 'promptTokens', 'outputTokens']
    const figures = Object.keys(summarize([])).filter(name => !counts.includes(name))
    expect(Object.keys(metricDefinitions).sort()).toEqual(figures.sort())
    const ids = Object.values(metricDefinitions).map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })
})
