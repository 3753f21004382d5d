import { KvFleetError } from '@kvfleet/core'
import { composePolicy, kvAware, leastLoaded, roundRobin } from '@kvfleet/router'
import { describe, expect, it } from 'vitest'
import { generateConversationTrace } from '../workload/generate-conversation.js'
import { traceBlockHashes } from '../workload/prompt-tokens.js'
import type { Trace } from '../workload/trace.js'
import { compareSimulated, simulationDocument } from './compare-simulated.js'
import { demonstration } from './demonstration.js'
import { simulate } from './simulate.js'

const trace = generateConversationTrace({ requests: 300 })
const blockHashes = traceBlockHashes(trace, demonstration.engine.blockSize)

/** `count` requests of one block of 64 tokens that all are the same, every `gapMs`. */
function sameBlocks(count: number, gapMs: number): Trace {
  const requests = Array.from({ length: count }, (_, index) => ({
    index,
    arrivalMs: index * gapMs,
    promptTokens: 640,
    outputTokens: 4,
    blockIds: [0, 1],
  }))
  return { name: 'same', blockTokens: 512, requests, notes: [] }
}

/** Two busy cores are no reason to fail. */
const SLOW = { timeout: 60_000 }

describe('simulate', SLOW, () => {
  it('gives the same bytes for the same options', async () => {
    const options = { trace, blockHashes, policy: kvAware(), actions: [{ atMs: 40_000, type: 'drain', workerId: 'w1' }] as const }
    const [one, two] = [await simulate(options), await simulate(options)]
    expect(JSON.stringify(two)).toBe(JSON.stringify(one))
  })

  it('completes every request on the workers that the policy chose', async () => {
    const { records, summary, workers, standIn, name } = await simulate({ trace, blockHashes, policy: roundRobin() })
    expect({ name, standIn }).toEqual({ name: 'round-robin', standIn: true })
    expect(summary).toMatchObject({ requests: 300, completedRequests: 300, failedRequests: 0 })
    expect(workers.map(worker => [worker.workerId, worker.requests])).toEqual([
      ['w0', 75],
      ['w1', 75],
      ['w2', 75],
      ['w3', 75],
    ])
    for (const [index, record] of records.entries()) {
      expect(record.outputTokens).toBe(trace.requests[index]?.outputTokens)
      expect(record.firstTokenAt).toBeGreaterThan(record.intendedAt)
    }
    expect(workers.reduce((sum, worker) => sum + worker.cachedTokens, 0)).toBe(
      records.reduce((sum, record) => sum + (record.cachedTokens ?? 0), 0),
    )
  })

  it('counts a gap for every token after the first', async () => {
    const { records, summary } = await simulate({ trace, blockHashes, policy: roundRobin() })
    const tokens = records.reduce((sum, record) => sum + record.outputTokens, 0)
    expect(summary.itlMs.count).toBe(tokens - records.length)
    const busiest = records.reduce((sum, { endedAt, firstTokenAt }) => sum + endedAt - (firstTokenAt as number), 0)
    expect(summary.itlMs.mean * summary.itlMs.count).toBeCloseTo(busiest, -1)
    expect(summary.tpotMs.mean).toBeGreaterThan(demonstration.engine.profile.stepBaseMs)
  })

  it('shows what kv-aware routing is for: more hits, and a lower mean, median and p95 TTFT', async () => {
    const [turn, least, aware] = await compareSimulated({
      trace: generateConversationTrace({ requests: 1000 }),
      policies: [roundRobin(), leastLoaded(), kvAware()],
    })
    for (const other of [turn, least]) {
      expect(aware?.summary.prefixHitShare).toBeGreaterThan((other?.summary.prefixHitShare as number) * 1.2)
      for (const statistic of ['mean', 'p50', 'p95'] as const) {
        expect(aware?.summary.ttftMs[statistic], statistic).toBeLessThan((other?.summary.ttftMs[statistic] as number) * 0.9)
      }
    }
  })

  it('shows the same over the whole trace beside round robin', async () => {
    const [turn, aware] = await compareSimulated({ trace: generateConversationTrace(), policies: [roundRobin(), kvAware()] })
    expect(aware?.summary.completedRequests).toBe(12_031)
    expect(aware?.summary.prefixHitShare).toBeGreaterThan(turn?.summary.prefixHitShare as number)
    for (const statistic of ['mean', 'p50', 'p95'] as const) {
      expect(aware?.summary.ttftMs[statistic], statistic).toBeLessThan(turn?.summary.ttftMs[statistic] as number)
    }
  })

  it('routes by KV events only after their delay', async () => {
    const run = (kvEventDelayMs: number | false) => simulate({ trace: sameBlocks(20, 200), policy: kvAware(), workers: 4, kvEventDelayMs })
    const hits = async (delay: number | false) => (await run(delay)).workers.map(worker => worker.cachedTokens)
    const [soon, late] = [await hits(50), await hits(1000)]
    const total = (all: readonly number[]) => all.reduce((sum, tokens) => sum + tokens, 0)
    expect(total(soon)).toBeGreaterThan(0)
    expect(total(late)).toBeLessThan(total(soon))
    expect(soon.filter(tokens => tokens > 0)).toHaveLength(1)
    expect(total(await hits(false))).toBeLessThan(total(soon))
  })

  it('takes a drained worker out, lets it finish, and gives an added one its share', async () => {
    const { records, drains, events, summary } = await simulate({
      trace,
      blockHashes,
      policy: leastLoaded(),
      actions: [
        { atMs: 60_000, type: 'add', workerId: 'spare' },
        { atMs: 30_000, type: 'drain', workerId: 'w2' },
      ],
    })
    expect(summary.failedRequests).toBe(0)
    const of = (workerId: string) => records.filter(record => record.workerId === workerId)
    expect(of('w2').length).toBeGreaterThan(0)
    expect(of('w2').every(record => record.intendedAt <= 30_000)).toBe(true)
    expect(of('spare').length).toBeGreaterThan(10)
    expect(of('spare').every(record => record.intendedAt >= 60_000)).toBe(true)
    const lastEnd = Math.max(...of('w2').map(record => record.endedAt))
    expect(drains).toMatchObject([{ workerId: 'w2', aborted: 0, waitedMs: lastEnd - 30_000 }])
    expect(events.map(event => event.label).sort()).toEqual(['spare added', 'w2 drained', 'w2 draining'])
  })

  it('records what a drain deadline ended as failed', async () => {
    const { records, drains } = await simulate({
      trace,
      blockHashes,
      policy: roundRobin(),
      actions: [{ atMs: 30_000, type: 'drain', workerId: 'w0', deadlineMs: 10 }],
    })
    const failed = records.filter(record => record.outcome === 'failed')
    expect(failed.length).toBeGreaterThan(0)
    expect(drains[0]).toMatchObject({ aborted: failed.length, deadlinePassed: true })
    expect(failed.every(record => record.workerId === 'w0' && record.error === 'abort')).toBe(true)
  })

  it('records requests that no worker may take as failed', async () => {
    const none = composePolicy({ name: 'none', filters: [{ name: 'nobody', exclude: () => 'never' }] })
    const { summary, records } = await simulate({ trace: sameBlocks(3, 10), policy: none })
    expect(summary.failedRequests).toBe(3)
    expect(records[0]).toMatchObject({ workerId: undefined, outputTokens: 0, firstTokenAt: undefined })
  })

  it('rejects options, scripts and hashes that do not fit', async () => {
    const fault = (change: object) => simulate({ trace: sameBlocks(1, 1), policy: roundRobin(), ...change }).catch(error => error)
    for (const change of [
      { worker: 3 },
      { blockHashes: traceBlockHashes(trace, 16) },
      { actions: [{ atMs: 0, type: 'drain', workerId: 'w9' }] },
    ]) {
      expect(KvFleetError.is(await fault(change), 'OPTION_INVALID')).toBe(true)
    }
  })
})

describe('simulationDocument', SLOW, () => {
  it('is plain JSON that says it stands in, with common events apart from those of one run', async () => {
    const simulation = { trace, actions: [{ atMs: 30_000, type: 'drain', workerId: 'w2' }] as const }
    const results = await compareSimulated({ ...simulation, policies: [roundRobin(), kvAware()] })
    const document = simulationDocument({ title: 't', createdAt: '2026-01-01T00:00:00Z', machine: 'm', simulation, results })
    expect(document.standIn).toBe(true)
    expect(document.events).toEqual([{ at: 30_000, label: 'w2 draining' }])
    expect(document.series.map(series => series.events.map(event => event.label))).toEqual([['w2 drained'], ['w2 drained']])
    expect(document.parameters).toMatchObject({ requests: 300, workers: 4, engineProfile: demonstration.engine.profile.name })
    expect(JSON.parse(JSON.stringify(document)).series[0].records.intendedAt).toHaveLength(300)
  })
})
