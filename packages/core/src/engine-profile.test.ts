import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { prefillMs, standInProfile, stepMs } from './index.js'

describe('EngineProfile', () => {
  it('adds up the parts of a step', () => {
    const profile = {
      ...standInProfile,
      stepBaseMs: 10,
      prefillMsPerToken: 0.1,
      prefillMsPerTokenPerContextToken: 0.001,
      decodeMsPerSequence: 0.5,
      decodeMsPerContextToken: 0.01,
    }
    expect(stepMs(profile, { prefillTokens: 100, prefillContextTokens: 1000, decodeSequences: 4, decodeContextTokens: 200 })).toBeCloseTo(
      10 + 10 + 1 + 2 + 2,
    )
  })

  it('gives a whole prefill as the sum of its chunks', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60_000 }), fc.nat(60_000), (uncached, cached) => {
        let sum = 0
        for (let done = 0; done < uncached; ) {
          const chunk = Math.min(standInProfile.maxBatchedTokens, uncached - done)
          const prefillContextTokens = chunk * (cached + done + chunk / 2)
          sum += stepMs(standInProfile, { prefillTokens: chunk, prefillContextTokens, decodeSequences: 0, decodeContextTokens: 0 })
          done += chunk
        }
        expect(prefillMs(standInProfile, uncached, cached)).toBeCloseTo(sum, 6)
      }),
    )
    expect(prefillMs(standInProfile, 0)).toBe(0)
  })
})
