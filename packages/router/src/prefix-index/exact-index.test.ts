import type { BlockHashes, KvEvent, KvHolder, KvKeySpace, KvMedium, KvStreamItem } from '@kvfleet/core'
import { chainBlockHashes, promptExtraKeys } from '@kvfleet/core/block-hashes'
import { describe, expect, it } from 'vitest'
import { createTestFleet } from '../testing/index.js'
import { createExactIndex } from './exact-index.js'

const BLOCK = 4
const vllm: KvKeySpace = { model: 'm', scheme: 'vllm', blockSize: BLOCK }
const prompt = (...values: number[]) => Uint32Array.from(values)
const hash = (...values: number[]): BlockHashes => Uint32Array.from(values.flatMap(value => [0, value]))

async function setup({ workers = ['a', 'b'], dataParallelRanks = 1, maxParkedBlocks = 100 } = {}) {
  const test = createTestFleet()
  const index = createExactIndex(test.fleet, { maxParkedBlocks })
  const holders = new Map<string, KvHolder & { kind: 'worker' }>()
  for (const id of workers) {
    const worker = await test.addWorker(id, { blockSize: BLOCK, dataParallelRanks })
    holders.set(id, { kind: 'worker', workerId: id, incarnation: worker.incarnation, rank: 0 })
  }
  const holder = (id: string) => holders.get(id) as KvHolder & { kind: 'worker' }
  let sequence = 0
  const emit = (id: string, ...events: KvEvent[]) => {
    test.emit({ type: 'batch', source: holder(id), sequence: sequence++, publishedAtMs: 0, events })
  }
  return {
    ...test,
    index,
    holder,
    store: (
      id: string,
      event: {
        hashes: BlockHashes
        parent?: BlockHashes
        tokens?: Uint32Array
        medium?: KvMedium
        space?: KvKeySpace
        extraKeys?: (string | undefined)[]
      },
    ) =>
      emit(id, {
        type: 'stored',
        holder: holder(id),
        medium: event.medium ?? 'gpu',
        keySpace: event.space ?? vllm,
        hashes: event.hashes,
        parent: event.parent,
        tokens: event.tokens,
        ...(event.extraKeys === undefined ? {} : { extraKeys: event.extraKeys }),
      }),
    remove: (id: string, hashes: BlockHashes, medium: KvMedium = 'gpu') =>
      emit(id, { type: 'removed', holder: holder(id), medium, hashes }),
    clear: (id: string, medium?: KvMedium) =>
      emit(id, { type: 'cleared', holder: holder(id), ...(medium === undefined ? {} : { medium }) }),
    reset: (id: string) => test.emit({ type: 'reset', source: holder(id), reason: 'gap' } satisfies KvStreamItem),
    match: (tokens: Uint32Array, extra: { lora?: string; cacheSalt?: string } = {}) => {
      const extraKeys = promptExtraKeys(extra, tokens.length / BLOCK)
      const hashes = chainBlockHashes(tokens, BLOCK, extraKeys === undefined ? {} : { extraKeys })
      return index.match({ hashes, blockSize: BLOCK }, [...holders.values()])
    },
  }
}

describe('the exact prefix index', () => {
  const eight = prompt(1, 2, 3, 4, 5, 6, 7, 8)
  const twelve = prompt(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)

  it('counts the leading blocks of each holder, whatever the engines call them', async () => {
    const { store, match } = await setup()
    store('a', { hashes: hash(71, 72), tokens: eight })
    store('b', { hashes: hash(901, 902, 903), tokens: twelve })
    expect(match(twelve)).toEqual([2, 3])
    expect(match(eight)).toEqual([2, 2])
    expect(match(prompt(9, 9, 9, 9))).toEqual([0, 0])
  })

  it('continues a chain from a parent of an earlier event', async () => {
    const { store, match } = await setup()
    store('a', { hashes: hash(1), tokens: eight.subarray(0, 4) })
    store('a', { hashes: hash(2, 3), parent: hash(1), tokens: twelve.subarray(4) })
    expect(match(twelve)).toEqual([3, 0])
  })

  it('stops the run at a hole and takes it up again when the hole is filled', async () => {
    const { store, remove, match } = await setup()
    store('a', { hashes: hash(1, 2, 3), tokens: twelve })
    remove('a', hash(2))
    expect(match(twelve)).toEqual([1, 0])
    store('a', { hashes: hash(2), parent: hash(1), tokens: twelve.subarray(4, 8) })
    expect(match(twelve)).toEqual([3, 0])
  })

  it('counts a block while any medium holds it', async () => {
    const { store, remove, clear, match } = await setup()
    store('a', { hashes: hash(1, 2), tokens: eight })
    store('a', { hashes: hash(1), medium: 'cpu' })
    remove('a', hash(1, 2), 'gpu')
    expect(match(eight)).toEqual([1, 0])
    clear('a', 'cpu')
    expect(match(eight)).toEqual([0, 0])
  })

  it('does not count blocks that moved to a medium without ever having had tokens', async () => {
    const { store, match, index } = await setup()
    store('a', { hashes: hash(1), medium: 'cpu' })
    expect(match(eight)).toEqual([0, 0])
    expect(index.stats()).toMatchObject({ blocks: 0, memberships: 0 })
  })

  it('does not count a block of unknown ancestry until its parent appears', async () => {
    const { store, match, index } = await setup()
    store('a', { hashes: hash(3), parent: hash(2), tokens: twelve.subarray(8) })
    store('a', { hashes: hash(2), parent: hash(1), tokens: twelve.subarray(4, 8) })
    expect(index.stats().memberships).toBe(0)
    store('a', { hashes: hash(1), tokens: twelve.subarray(0, 4) })
    expect(match(twelve)).toEqual([3, 0])
  })

  it('forgets a waiting block that is removed, and the oldest beyond the bound', async () => {
    const { store, remove, match } = await setup({ maxParkedBlocks: 2 })
    store('a', { hashes: hash(2), parent: hash(1), tokens: twelve.subarray(4, 8) })
    remove('a', hash(2))
    store('a', { hashes: hash(1), tokens: twelve.subarray(0, 4) })
    expect(match(twelve)).toEqual([1, 0])
    store('b', { hashes: hash(2, 3, 4), parent: hash(1), tokens: prompt(5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16) })
    store('b', { hashes: hash(1), tokens: twelve.subarray(0, 4) })
    expect(match(twelve)).toEqual([1, 1])
  })

  it('adopts a chain of ten thousand waiting blocks', async () => {
    const { store, match } = await setup({ maxParkedBlocks: 20_000 })
    const long = Uint32Array.from({ length: 10_000 * BLOCK }, (_, index) => index)
    const names = Uint32Array.from({ length: 20_000 }, (_, index) => (index % 2 === 0 ? 7 : index >>> 1))
    store('a', { hashes: names.subarray(2), parent: names.subarray(0, 2), tokens: long.subarray(BLOCK) })
    expect(match(long)).toEqual([0, 0])
    store('a', { hashes: names.subarray(0, 2), tokens: long.subarray(0, BLOCK) })
    expect(match(long)).toEqual([10_000, 0])
  })

  it('takes hashes of the own scheme as they are', async () => {
    const { store, match } = await setup()
    store('a', { hashes: chainBlockHashes(eight, BLOCK), space: { ...vllm, scheme: 'kvfleet' } })
    expect(match(twelve)).toEqual([2, 0])
  })

  it('parts adapters and cache salts, named per block or by the key space', async () => {
    const { store, match } = await setup()
    store('a', { hashes: hash(1, 2), tokens: eight, extraKeys: ['["x"]', '["x"]'] })
    store('b', { hashes: hash(1, 2), tokens: eight, space: { ...vllm, lora: 'x' } })
    store('b', { hashes: hash(3, 4), tokens: eight, extraKeys: ['["salt"]', undefined] })
    expect(match(eight)).toEqual([0, 0])
    expect(match(eight, { lora: 'x' })).toEqual([2, 2])
    expect(match(eight, { cacheSalt: 'salt' })).toEqual([0, 2])
  })

  it('keeps a block that two engine hashes name until both are gone', async () => {
    const { store, remove, match, index } = await setup()
    store('a', { hashes: hash(1), tokens: eight.subarray(0, 4) })
    store('a', { hashes: hash(51), tokens: eight.subarray(0, 4), space: { ...vllm, scheme: 'lmcache' }, medium: 'cpu' })
    remove('a', hash(1))
    expect(match(eight)).toEqual([1, 0])
    remove('a', hash(51), 'cpu')
    expect(match(eight)).toEqual([0, 0])
    expect(index.stats()).toMatchObject({ blocks: 0, memberships: 0 })
  })

  it('voids what it learnt of a source on reset, and of that source only', async () => {
    const { store, reset, match } = await setup()
    store('a', { hashes: hash(1, 2), tokens: eight })
    store('b', { hashes: hash(1, 2), tokens: eight })
    reset('a')
    expect(match(eight)).toEqual([0, 2])
    store('a', { hashes: hash(2), parent: hash(1), tokens: eight.subarray(4) })
    expect(match(eight)).toEqual([0, 2])
  })

  it('forgets a removed worker, its late events, and does not credit its successor', async () => {
    const { store, match, addWorker, removeWorker, index, holder } = await setup()
    store('a', { hashes: hash(1, 2), tokens: eight })
    await removeWorker('a')
    expect(index.stats()).toMatchObject({ blocks: 0, memberships: 0 })
    store('a', { hashes: hash(1, 2), tokens: eight })
    expect(match(eight)).toEqual([0, 0])
    const successor = await addWorker('a', { blockSize: BLOCK })
    store('a', { hashes: hash(1, 2), tokens: eight })
    expect(
      index.match({ hashes: chainBlockHashes(eight, BLOCK), blockSize: BLOCK }, [{ ...holder('a'), incarnation: successor.incarnation }]),
    ).toEqual([0])
  })

  it('tells ranks of one worker apart', async () => {
    const { emit, index, holder } = await setup({ dataParallelRanks: 2 })
    const second = { ...holder('a'), rank: 1 }
    emit({
      type: 'batch',
      source: second,
      sequence: 0,
      publishedAtMs: 0,
      events: [{ type: 'stored', holder: second, medium: 'gpu', keySpace: vllm, hashes: hash(1, 2), parent: undefined, tokens: eight }],
    })
    expect(index.match({ hashes: chainBlockHashes(eight, BLOCK), blockSize: BLOCK }, [holder('a'), second])).toEqual([0, 2])
  })

  it('goes on after more than 32 holders', async () => {
    const workers = Array.from({ length: 70 }, (_, at) => `w${at}`)
    const { store, match } = await setup({ workers })
    workers.forEach((id, at) => {
      if (at % 3 !== 0)
        store(id, { hashes: hash(1, 2, 3).subarray(0, 2 * (at % 3) + 2), tokens: twelve.subarray(0, (at % 3) * BLOCK + BLOCK) })
    })
    expect(match(twelve)).toEqual(workers.map((_, at) => (at % 3 === 0 ? 0 : (at % 3) + 1)))
  })

  it('counts nothing any more once it is closed', async () => {
    const { store, match, index } = await setup()
    store('a', { hashes: hash(1, 2), tokens: eight })
    index.close()
    store('a', { hashes: hash(1, 2), tokens: eight })
    expect(match(eight)).toEqual([0, 0])
    expect(index.stats()).toMatchObject({ blocks: 0, memberships: 0 })
  })
})
