import { pack } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import type { KvHolder } from '../kv-event.js'
import { sglangCodec } from './index.js'

const holder: KvHolder = { kind: 'worker', workerId: 'a', incarnation: 1, rank: 2 }
const decode = (events: readonly unknown[]) => sglangCodec().decode(pack([1.5, events, 2]), { holder, model: 'm' })
const only = (event: unknown) => decode([event]).events[0]?.event

describe('the SGLang codec', () => {
  const page = {
    type: 'BlockStored',
    block_hashes: [-3488128144981237669n],
    parent_block_hash: null,
    token_ids: [1, 2, 3, 4],
    block_size: 4,
    lora_id: null,
  }

  it('reads signed hashes as the 64 bits they are', () => {
    expect(only(page)).toEqual({
      type: 'stored',
      holder,
      medium: 'gpu',
      keySpace: { model: 'm', scheme: 'sglang', blockSize: 4 },
      hashes: Uint32Array.of(0xcf97adee, Number(BigInt.asUintN(32, -3488128144981237669n))),
      parent: undefined,
      tokens: Uint32Array.of(1, 2, 3, 4),
    })
  })

  it('reads the media of SGLang', () => {
    const media = ['GPU', 'CPU_PINNED', 'DISK', 'EXTERNAL', undefined].map(medium =>
      only({ ...page, ...(medium === undefined ? {} : { medium }) }),
    )
    expect(media.map(event => (event?.type === 'stored' ? event.medium : undefined))).toEqual(['gpu', 'cpu', 'disk', 'remote', 'gpu'])
  })

  it('leaves out a last page that is not full, and the whole event when that is all', () => {
    expect(only({ ...page, block_hashes: [1, 2], token_ids: [1, 2, 3, 4, 5] })).toMatchObject({
      hashes: Uint32Array.of(0, 1),
      tokens: Uint32Array.of(1, 2, 3, 4),
    })
    expect(decode([{ ...page, block_hashes: [1], token_ids: [1, 2] }])).toMatchObject({ events: [], malformed: [] })
  })

  it('takes the first token of each pair that EAGLE sends', () => {
    const pairs = [
      [1, 2],
      [2, 3],
      [3, 4],
      [4, 5],
    ]
    expect(only({ ...page, token_ids: pairs })).toMatchObject({ tokens: Uint32Array.of(1, 2, 3, 4) })
  })

  it('puts the salt on the first page of a prompt and the adapter on every page', () => {
    const two = { ...page, block_hashes: [1, 2], token_ids: [1, 2, 3, 4, 5, 6, 7, 8], cache_salt: 's', lora_name: 'a' }
    expect(only(two)).toMatchObject({ keySpace: { lora: 'a' }, extraKeys: ['["a","s"]', '["a"]'] })
    expect(only({ ...two, parent_block_hash: 9 })).toMatchObject({ extraKeys: ['["a"]', '["a"]'] })
  })

  it('reads the array generations: six fields, with medium, with a salt behind it', () => {
    const array = ['BlockStored', [1], null, [1, 2, 3, 4], 4, null]
    expect(only(array)).toMatchObject({ type: 'stored', medium: 'gpu' })
    expect(only([...array, 'CPU_PINNED'])).toMatchObject({ medium: 'cpu' })
    expect(only([...array, 'GPU', { cache_salt: 's' }])).toMatchObject({ extraKeys: ['["s"]'] })
    expect(only(['BlockRemoved', [1], 'DISK'])).toEqual({ type: 'removed', holder, medium: 'disk', hashes: Uint32Array.of(0, 1) })
    expect(only(['AllBlocksCleared'])).toEqual({ type: 'cleared', holder })
  })
})
