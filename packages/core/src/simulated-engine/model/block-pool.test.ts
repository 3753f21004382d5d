import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BlockPool } from './block-pool.js'

/** The same rules over plain arrays and objects. */
class PlainPool {
  readonly free: number[]
  readonly uses: number[]
  /** Holders of each hash, oldest first. */
  readonly holders = new Map<string, number[]>()
  readonly hashes = new Map<number, string>()

  constructor(blocks: number) {
    this.free = Array.from({ length: blocks }, (_, block) => block)
    this.uses = this.free.map(() => 0)
  }

  allocate(): { block: number; forgot: string | undefined; left: boolean } {
    const block = this.free.shift() as number
    this.uses[block] = 1
    return { block, ...this.forget(block) }
  }

  forget(block: number): { forgot: string | undefined; left: boolean } {
    const forgot = this.hashes.get(block)
    if (forgot === undefined) return { forgot, left: false }
    this.hashes.delete(block)
    const rest = (this.holders.get(forgot) as number[]).filter(other => other !== block)
    if (rest.length > 0) this.holders.set(forgot, rest)
    else this.holders.delete(forgot)
    return { forgot, left: rest.length > 0 }
  }

  cache(block: number, hash: string): boolean {
    const holders = this.holders.get(hash) ?? []
    this.holders.set(hash, [...holders, block])
    this.hashes.set(block, hash)
    return holders.length > 0
  }

  touch(block: number): void {
    if (this.uses[block] === 0) this.free.splice(this.free.indexOf(block), 1)
    ;(this.uses[block] as number)++
  }

  release(table: readonly number[], cached: number): void {
    const unused = [...table].reverse().filter(block => --(this.uses[block] as number) === 0)
    this.free.unshift(...unused.filter(block => !table.slice(0, cached).includes(block)))
    this.free.push(...unused.filter(block => table.slice(0, cached).includes(block)))
  }
}

const BLOCKS = 12
/** Few words, of which many share a probe run. */
const word = fc.integer({ min: 0, max: 5 })
const command = fc.oneof(
  fc.record({
    do: fc.constant('take' as const),
    blocks: fc.integer({ min: 1, max: 4 }),
    cached: fc.integer({ min: 0, max: 4 }),
    words: fc.array(word, { minLength: 4, maxLength: 4 }),
  }),
  fc.record({ do: fc.constant('hit' as const), word }),
  fc.record({ do: fc.constant('release' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('forgetFree' as const) }),
)

describe('the block pool', () => {
  it('behaves as the plain one, block for block', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), commands => {
        const forgotten: string[] = []
        const pool = new BlockPool(BLOCKS, (high, low, left) => forgotten.push(`${high}.${low}${left ? '+' : ''}`))
        const plain = new PlainPool(BLOCKS)
        const expected: string[] = []
        const tables: { readonly blocks: number[]; readonly cached: number }[] = []
        for (const step of commands) {
          if (step.do === 'take') {
            if (step.blocks > pool.free) continue
            const blocks = Array.from({ length: step.blocks }, () => {
              const { block, forgot, left } = plain.allocate()
              if (forgot !== undefined) expected.push(`${forgot}${left ? '+' : ''}`)
              expect(pool.allocate()).toBe(block)
              return block
            })
            const cached = Math.min(step.cached, step.blocks)
            for (let index = 0; index < cached; index++) {
              const low = step.words[index] as number
              expect(pool.cache(blocks[index] as number, 0, low)).toBe(plain.cache(blocks[index] as number, `0.${low}`))
            }
            tables.push({ blocks, cached })
          } else if (step.do === 'hit') {
            const block = pool.find(0, step.word)
            expect(block).toBe(plain.holders.get(`0.${step.word}`)?.[0] ?? -1)
            if (block < 0) continue
            pool.touch(block)
            plain.touch(block)
            tables.push({ blocks: [block], cached: 1 })
          } else if (step.do === 'release') {
            const [table] = tables.splice(step.which % Math.max(1, tables.length), 1)
            if (table === undefined) continue
            pool.release(Int32Array.from(table.blocks), table.blocks.length, table.cached)
            plain.release(table.blocks, table.cached)
          } else {
            pool.forgetFree()
            for (const block of plain.free) {
              const { forgot, left } = plain.forget(block)
              if (forgot !== undefined) expected.push(`${forgot}${left ? '+' : ''}`)
            }
          }
          expect(pool.free).toBe(plain.free.length)
          expect(forgotten).toEqual(expected)
        }
      }),
      { numRuns: 500 },
    )
  })
})
