import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chainBlockHashes, promptExtraKeys } from './index.js'

const ids = (...values: number[]) => Uint32Array.from(values)
const tokens = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 64 }).map(values => Uint32Array.from(values))

describe('the 64-bit block hash chain', () => {
  it('hashes only full blocks', () => {
    expect(chainBlockHashes(ids(1, 2, 3, 4, 5), 2)).toHaveLength(4)
    expect(chainBlockHashes(ids(1), 2)).toHaveLength(0)
  })

  it('keeps its values, which snapshots and peers depend on', () => {
    expect([...chainBlockHashes(ids(1, 2, 3, 4, 5, 6, 7, 8), 4)]).toMatchInlineSnapshot(`
      [
        2108303408,
        619281357,
        4241479777,
        1007549241,
      ]
    `)
    expect([...chainBlockHashes(ids(1, 2, 3, 4), 4, { extraKeys: ['["lora"]'] })]).toMatchInlineSnapshot(`
      [
        2314835890,
        637370539,
      ]
    `)
  })

  it('gives a prefix of the chain for a prefix of the tokens', () => {
    fc.assert(
      fc.property(tokens, tokens, fc.integer({ min: 1, max: 8 }), (head, tail, blockSize) => {
        const whole = chainBlockHashes(Uint32Array.from([...head, ...tail]), blockSize)
        const part = chainBlockHashes(head, blockSize)
        expect(whole.slice(0, part.length)).toEqual(part)
      }),
    )
  })

  it('continues from a parent as if hashed in one go', () => {
    fc.assert(
      fc.property(tokens, fc.integer({ min: 1, max: 8 }), fc.nat(8), (all, blockSize, cut) => {
        const whole = chainBlockHashes(all, blockSize)
        const at = Math.min(cut, whole.length / 2)
        const rest = chainBlockHashes(
          all.subarray(at * blockSize),
          blockSize,
          at === 0 ? {} : { parent: whole.subarray(2 * at - 2, 2 * at) },
        )
        expect(rest).toEqual(whole.slice(2 * at))
      }),
    )
  })

  it('has no collision among 200,000 neighbouring blocks, in either word more than chance explains', () => {
    const seen = new Set<string>()
    const highs = new Set<number>()
    for (let value = 0; value < 200_000; value++) {
      const [high, low] = chainBlockHashes(ids(value & 255, value >>> 8, 0, value & 15), 4)
      seen.add(`${high}:${low}`)
      highs.add(high as number)
    }
    expect(seen.size).toBe(200_000)
    // 200,000² / 2³³ ≈ 4.7 expected collisions of one 32-bit word.
    expect(200_000 - highs.size).toBeLessThan(20)
  })

  it('parts prompts by cache salt and LoRA adapter', () => {
    const prompt = ids(1, 2, 3, 4, 5, 6, 7, 8)
    const chain = (keys: { lora?: string; cacheSalt?: string }) => {
      const extraKeys = promptExtraKeys(keys, 2)
      return chainBlockHashes(prompt, 4, extraKeys === undefined ? {} : { extraKeys }).join()
    }
    const variants = [
      chain({}),
      chain({ lora: 'a' }),
      chain({ lora: 'b' }),
      chain({ cacheSalt: 'a' }),
      chain({ lora: 'a', cacheSalt: 'b' }),
    ]
    expect(new Set(variants).size).toBe(variants.length)
  })
})
