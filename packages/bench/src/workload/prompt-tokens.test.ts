import { chainBlockHashes } from '@kvfleet/core/block-hashes'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { promptBlockHashes, promptTokenIds, traceBlockHashes } from './prompt-tokens.js'
import type { Trace, TraceRequest } from './trace.js'

function traceOf(blockTokens: number, prompts: readonly (readonly [tokens: number, ids: readonly number[]])[]): Trace {
  const requests = prompts.map(
    ([promptTokens, blockIds], index): TraceRequest => ({ index, arrivalMs: index, promptTokens, outputTokens: 1, blockIds }),
  )
  return { name: 'test', blockTokens, requests, notes: [] }
}

const tokensOf = (trace: Trace, index: number, vocabularySize?: number) =>
  promptTokenIds(trace.requests[index] as TraceRequest, trace, vocabularySize === undefined ? {} : { vocabularySize })

describe('promptTokenIds', () => {
  it('gives equal tokens for equal block ids at the same place, also in a last block that is not full', () => {
    const trace = traceOf(16, [
      [40, [7, 8, 9]],
      [36, [7, 8, 9]],
      [40, [7, 5, 9]],
    ])
    const [one, shorter, other] = [tokensOf(trace, 0), tokensOf(trace, 1), tokensOf(trace, 2)]
    expect(one).toHaveLength(40)
    expect(one.subarray(0, 36)).toEqual(shorter)
    expect(one.subarray(0, 16)).toEqual(other.subarray(0, 16))
    expect(one.subarray(16, 32)).not.toEqual(other.subarray(16, 32))
    expect(one.subarray(32)).toEqual(other.subarray(32))
  })

  it('tells any two block ids apart within their first two tokens', () => {
    const id = fc.integer({ min: 0, max: 30_000_000 })
    fc.assert(
      fc.property(id, id, fc.integer({ min: 6000, max: 200_000 }), (a, b, vocabularySize) => {
        fc.pre(a !== b && Math.max(a, b) < vocabularySize ** 2)
        const trace = traceOf(512, [
          [2, [a]],
          [2, [b]],
        ])
        expect(tokensOf(trace, 0, vocabularySize)).not.toEqual(tokensOf(trace, 1, vocabularySize))
      }),
    )
  })

  it('keeps every id below the vocabulary size', () => {
    const trace = traceOf(512, [[5000, Array.from({ length: 10 }, (_, id) => id * 77_777)]])
    for (const size of [2, 1000, 32_000, 151_936]) expect(Math.max(...tokensOf(trace, 0, size))).toBeLessThan(size)
  })

  it('makes every request of a trace without block ids a prompt of its own', () => {
    const trace = traceOf(0, [
      [100, []],
      [100, []],
    ])
    expect(tokensOf(trace, 0)).not.toEqual(tokensOf(trace, 1))
    expect(tokensOf(trace, 0)[0]).not.toBe(tokensOf(trace, 1)[0])
  })
})

describe('block hashes of a trace', () => {
  it('are those of the hash chain over the tokens, with the arena as without', () => {
    const trace = traceOf(32, [
      [70, [1, 2, 3]],
      [15, [4]],
      [64, [1, 2]],
    ])
    const arena = traceBlockHashes(trace, 16)
    for (const request of trace.requests) {
      const expected = chainBlockHashes(promptTokenIds(request, trace), 16)
      expect(promptBlockHashes(request, trace, 16)).toEqual(expected)
      expect(Array.from(arena.hashes(request.index))).toEqual(Array.from(expected))
    }
    expect(arena.bytes).toBe(8 * (4 + 0 + 4))
    expect(Array.from(arena.hashes(2))).toEqual(Array.from(arena.hashes(0)).slice(0, 8))
    expect(() => arena.hashes(3)).toThrow('no request 3')
  })
})
