import { prefillMs, standInProfile } from '@kvfleet/core'
import { serveSimulatedEngine } from '@kvfleet/core/simulated-engine/serve'
import { describe, expect, it } from 'vitest'
import { summarize } from '../metrics/summarize.js'
import type { Trace } from '../workload/trace.js'
import { replay } from './replay.js'

/** Six prompts of 1,500 tokens far apart; the second three repeat the first. */
const requests = [1, 2, 3, 1, 2, 3].map((id, index) => ({
  index,
  arrivalMs: index * 1000,
  promptTokens: 1500,
  outputTokens: 20,
  blockIds: [0, 10 * id, 10 * id + 1],
}))
const trace: Trace = { name: 'repeats', blockTokens: 512, requests, notes: [] }

describe('replay against the simulated engine over HTTP', () => {
  it('finds the lengths, cache hits and times of the model, in model time', async () => {
    const timeScale = 4
    await using server = await serveSimulatedEngine({
      profile: standInProfile,
      blockSize: 64,
      kvBlocks: 1000,
      timeScale,
      kvEvents: false,
      model: 'm',
    })
    const { records } = await replay(trace, { url: server.url, model: 'm' }, { timeScale })
    const summary = summarize(records)
    expect(summary).toMatchObject({ completedRequests: 6, outputTokens: 120, promptTokens: 9000 })
    // The first three share 512 tokens, of them all but the first request's are hits; the repeats hit all full blocks.
    expect(records.map(record => record.cachedTokens)).toEqual([0, 512, 512, 1472, 1472, 1472])
    for (const record of records) {
      expect(record.chunkTokens.reduce((sum, tokens) => sum + tokens, 0)).toBe(20)
      const modelMs = prefillMs(standInProfile, 1500 - (record.cachedTokens ?? 0), record.cachedTokens)
      expect((record.firstTokenAt as number) - record.sentAt).toBeGreaterThan(modelMs - 1)
    }
    expect(summary.tpotMs.mean).toBeGreaterThan(standInProfile.stepBaseMs - 1)
  })
})
