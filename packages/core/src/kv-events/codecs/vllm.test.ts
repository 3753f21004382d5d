import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { pack } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { KvFleetError } from '../../errors.js'
import type { KvEvent, KvHolder } from '../kv-event.js'
import { sglangCodec, vllmCodec } from './index.js'

const holder: KvHolder = { kind: 'worker', workerId: 'a', incarnation: 1, rank: 0 }
const context = { holder, model: 'm' }
const codec = vllmCodec()

/** A 64-bit integer as text, or a digest. */
type CapturedHash = string | { readonly hex: string }

interface CapturedEvent {
  readonly type: string
  readonly block_hashes?: readonly CapturedHash[]
  readonly parent_block_hash?: CapturedHash | null
  readonly token_ids?: readonly number[]
  readonly block_size?: number
  readonly medium?: string | null
  readonly lora_name?: string | null
  readonly extra_keys?: readonly (readonly unknown[] | null)[] | null
}
interface CapturedFrame {
  readonly run: string
  readonly seq: number
  readonly payload_hex: string
  readonly decoded: readonly [number, readonly CapturedEvent[], number]
}

/** JSON.parse would round 64-bit integers, so they are kept as text. */
const frames = readFileSync(new URL('../../../test-fixtures/vllm-kv-events.jsonl', import.meta.url), 'utf8')
  .split('\n')
  .filter(line => line.includes('"kind": "frame"'))
  .map(line => JSON.parse(line.replace(/(?<=[[ ])\d{15,}(?=[,\]}])/g, '"$&"')) as CapturedFrame)

function words(hash: CapturedHash): [number, number] {
  const hex = typeof hash === 'string' ? BigInt(hash).toString(16).padStart(16, '0') : hash.hex.slice(-16)
  return [Number.parseInt(hex.slice(0, 8), 16), Number.parseInt(hex.slice(8), 16)]
}

function expected(event: CapturedEvent): KvEvent {
  if (event.type === 'AllBlocksCleared') return { type: 'cleared', holder }
  const hashes = Uint32Array.from((event.block_hashes ?? []).flatMap(words))
  if (event.type === 'BlockRemoved') return { type: 'removed', holder, medium: 'gpu', hashes }
  const keys = (event.extra_keys ?? []).map(entry => (entry === null ? undefined : JSON.stringify(entry)))
  return {
    type: 'stored',
    holder,
    medium: 'gpu',
    keySpace: { model: 'm', scheme: 'vllm', blockSize: event.block_size ?? 0 },
    hashes,
    parent: event.parent_block_hash == null ? undefined : Uint32Array.from(words(event.parent_block_hash)),
    tokens: Uint32Array.from(event.token_ids ?? []),
    ...(keys.some(key => key !== undefined) ? { extraKeys: keys } : {}),
  }
}

const decode = (batch: unknown) => codec.decode(pack(batch), context)
const only = (event: unknown) => decode([1.5, [event], 0]).events[0]
const stored = (fields: Record<string, unknown>) => ({
  type: 'BlockStored',
  block_hashes: [1, 2],
  parent_block_hash: null,
  token_ids: [1, 2, 3, 4],
  block_size: 2,
  lora_id: null,
  medium: 'GPU',
  lora_name: null,
  ...fields,
})

describe('the vLLM codec', () => {
  it('reads all 119 captured frames as vLLM itself does', () => {
    expect(frames).toHaveLength(119)
    for (const frame of frames) {
      const batch = codec.decode(Buffer.from(frame.payload_hex, 'hex'), context)
      expect(batch.publishedAtMs).toBe(frame.decoded[0] * 1000)
      expect(batch.unknownTypes).toEqual([])
      expect(batch.malformed).toEqual([])
      expect(batch.events.map(({ event }) => event)).toEqual(frame.decoded[1].map(expected))
    }
  })

  it('gives the same words for digests as for the integers that vLLM cuts them to', () => {
    const hashesOf = (run: string) =>
      frames
        .filter(frame => frame.run === run)
        .flatMap(frame => codec.decode(Buffer.from(frame.payload_hex, 'hex'), context).events)
        .flatMap(({ event }) => ('hashes' in event ? [...event.hashes] : []))
    const integers = hashesOf('sha256_cbor/b32/seed=0')
    expect(integers.length).toBeGreaterThan(100)
    expect(hashesOf('sha256_cbor/b32/seed=0/bytes-hashes')).toEqual(integers)
  })

  it('reads the array generation, however early its events end', () => {
    const full = ['BlockStored', [1, 2], 9, [1, 2, 3, 4], 2, null, 'CPU', 'adapter', [['adapter'], ['adapter', 's']], 0, 'full_attention']
    const whole = only(full)
    expect(whole?.event).toMatchObject({ medium: 'cpu', keySpace: { lora: 'adapter' }, extraKeys: ['["adapter"]', '["adapter","s"]'] })
    expect(whole?.group).toEqual({ index: 0, wholePrefix: true })
    expect(only(full.slice(0, 9))).toEqual({ event: whole?.event, group: undefined })
    // The first generation ended behind lora_id.
    expect(only(full.slice(0, 6))?.event).toEqual({
      type: 'stored',
      holder,
      medium: 'gpu',
      keySpace: { model: 'm', scheme: 'vllm', blockSize: 2 },
      hashes: Uint32Array.of(0, 1, 0, 2),
      parent: Uint32Array.of(0, 9),
      tokens: Uint32Array.of(1, 2, 3, 4),
    })
    expect(only(['BlockRemoved', [7]])?.event).toEqual({ type: 'removed', holder, medium: 'gpu', hashes: Uint32Array.of(0, 7) })
    expect(only(['AllBlocksCleared'])?.event).toEqual({ type: 'cleared', holder })
    expect(decode([1.5, [['AllBlocksCleared']]]).events).toHaveLength(1)
  })

  it.each([
    ['short', '89', '83', '81'],
    ['16-bit', 'de0009', 'de0003', 'de0001'],
    ['32-bit', 'df00000009', 'df00000003', 'df00000001'],
  ])('reads the golden batch that msgspec writes for vLLM 0.33, with %s map headers', (_, nine, three, one) => {
    const hash = 'cf84b146b151d55111'
    const payload = [
      '93cb3ff800000000000093',
      `${nine}a474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657391${hash}b1706172656e745f626c6f636b5f68617368c0`,
      'a9746f6b656e5f6964739401020304aa626c6f636b5f73697a6504a76c6f72615f6964c0a66d656469756da3475055a96c6f72615f6e616d65c0',
      'aa65787472615f6b65797391c0',
      `${three}a474797065ac426c6f636b52656d6f766564ac626c6f636b5f68617368657391${hash}a66d656469756da3475055`,
      `${one}a474797065b0416c6c426c6f636b73436c6561726564`,
      '00',
    ].join('')
    const { events, publishedAtMs } = codec.decode(Buffer.from(payload, 'hex'), context)
    const hashes = Uint32Array.from(words('9561501211280363793'))
    const keySpace = { model: 'm', scheme: 'vllm', blockSize: 4 }
    expect(publishedAtMs).toBe(1500)
    expect(events.map(({ event }) => event)).toEqual([
      { type: 'stored', holder, medium: 'gpu', keySpace, hashes, parent: undefined, tokens: Uint32Array.of(1, 2, 3, 4) },
      { type: 'removed', holder, medium: 'gpu', hashes },
      { type: 'cleared', holder },
    ])
  })

  it('keeps all 64 bits of a hash in every form it can travel in', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.uint8Array({ minLength: 0, maxLength: 24 }), (hash, head) => {
        const bytes = Buffer.alloc(8)
        bytes.writeBigUInt64BE(hash)
        const low = Number(hash & 0xffff_ffffn)
        const high = Number(hash >> 32n)
        const forms: unknown[] = [hash, BigInt.asIntN(64, hash), Buffer.concat([head, bytes])]
        if (hash <= BigInt(Number.MAX_SAFE_INTEGER)) forms.push(Number(hash))
        for (const form of forms) {
          const packed = Buffer.concat([Buffer.from('93cb3ff800000000000091', 'hex'), pack(['BlockRemoved', [form]]), Buffer.of(0)])
          expect(codec.decode(packed, context).events[0]?.event).toMatchObject({ hashes: Uint32Array.of(high, low) })
        }
      }),
    )
    expect(only(['BlockRemoved', [-2]])?.event).toMatchObject({ hashes: Uint32Array.of(0xffff_ffff, 0xffff_fffe) })
  })

  it('maps the media of vLLM, and calls remote what the publisher calls so', () => {
    const medium = (fields: Record<string, unknown>) => (only(stored(fields))?.event as { medium?: string } | undefined)?.medium
    expect(['GPU', 'CPU', 'STORAGE', null].map(name => medium({ medium: name }))).toEqual(['gpu', 'cpu', 'disk', 'gpu'])
    expect(medium({ medium: 'STORAGE', locality: 'REMOTE' })).toBe('remote')
    expect(medium({ medium: 'STORAGE', locality: 'LOCAL' })).toBe('disk')
  })

  it('keeps blocks without tokens, as offloading sends them', () => {
    expect(only(stored({ token_ids: [], medium: 'CPU' }))?.event).toMatchObject({
      medium: 'cpu',
      tokens: undefined,
      hashes: Uint32Array.of(0, 1, 0, 2),
    })
  })

  it('turns extra keys into one text a block: images, digests and big integers included', () => {
    const keys = [['adapter', ['image-hash', -3], 's', Buffer.from([0xab, 1])], null]
    expect(only(stored({ extra_keys: keys }))?.event).toMatchObject({ extraKeys: ['["adapter",["image-hash",-3],"s","ab01"]', undefined] })
    expect(only(stored({ extra_keys: [null, null] }))?.event).not.toHaveProperty('extraKeys')
    // Builds that list no keys still name the adapter, which a prompt's own chain covers.
    expect(only(stored({ lora_name: 'adapter' }))?.event).toMatchObject({ extraKeys: ['["adapter"]', '["adapter"]'] })
    expect(only(stored({ lora_id: 3 }))?.event).toMatchObject({ keySpace: { lora: 'lora_id:3' } })
  })

  it('leaves out the groups of hybrid models in which a block does not stand for its prefix', () => {
    const kinds = [
      'full_attention',
      'mla_attention',
      'sink_full_attention',
      undefined,
      'sliding_window',
      'mamba',
      'chunked_local_attention',
    ]
    const kept = kinds.filter(
      kind => only(stored({ group_idx: 1, ...(kind === undefined ? {} : { kv_cache_spec_kind: kind }) })) !== undefined,
    )
    expect(kept).toEqual(kinds.slice(0, 4))
    // Their tokens need not fit their hashes.
    expect(
      decode([1, [stored({ group_idx: 1, kv_cache_spec_kind: 'sliding_window', token_ids: [1, 2, 3, 4, 5, 6, 7, 8] })]]).malformed,
    ).toEqual([])
  })

  it('leaves out event types it does not know and names them', () => {
    const batch = decode([
      1,
      [{ type: 'BlockPinned', block_hashes: [1] }, ['Other', 1], { type: 'AllBlocksCleared' }, { type: 'constructor' }],
    ])
    expect(batch.unknownTypes).toEqual(['BlockPinned', 'Other', 'constructor'])
    expect(batch.events).toHaveLength(1)
  })

  it.each([
    ['no hashes', stored({ block_hashes: 3 }), 'block_hashes'],
    ['a short digest', stored({ block_hashes: [Buffer.from('abc')] }), 'block_hashes'],
    ['a text for a hash', stored({ block_hashes: ['1', '2'] }), 'block_hashes'],
    ['tokens of another block size', stored({ token_ids: [1, 2, 3], block_hashes: [1, 2, 3] }), 'token_ids'],
    ['negative tokens', stored({ token_ids: [1, 2, 3, -4] }), 'token_ids'],
    ['fractional tokens', stored({ token_ids: [1, 2, 3, 4.5] }), 'token_ids'],
    ['no block size', stored({ block_size: null }), 'block_size'],
    ['an unknown medium', stored({ medium: 'TAPE' }), 'medium'],
    ['too few extra keys', stored({ extra_keys: [null] }), 'extra_keys'],
    ['an event that is a number', 5, 'event'],
    ['an event without type', {}, 'type'],
    ['a group that is a text', stored({ group_idx: 'a' }), 'group_idx'],
  ])('loses only the event that has %s', (_, event, field) => {
    const batch = decode([1, [event, ['BlockRemoved', [1]]]])
    expect(batch.events).toHaveLength(1)
    expect(batch.malformed).toHaveLength(1)
    expect(batch.malformed[0]).toMatchObject({ code: 'KV_EVENT_MALFORMED', details: { field } })
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['no msgpack', Buffer.of(0xc1)],
    ['half a batch', Buffer.from(pack([1, [stored({})], 0])).subarray(0, 40)],
    ['a map', pack({ ts: 1 })],
    ['a batch without time', pack([null, []])],
    ['a batch without events', pack([1])],
    ['an array that claims four billion items', Buffer.from('ddffffffff', 'hex')],
    ['bytes after the batch', Buffer.concat([pack([1, []]), Buffer.of(1)])],
  ])('refuses %s as malformed', (_, payload) => {
    expect(() => codec.decode(payload, context)).toThrow(expect.objectContaining({ code: 'KV_EVENT_MALFORMED' }))
  })

  it('never fails otherwise, whatever bytes come', () => {
    const mutated = fc
      .record({
        frame: fc.nat(frames.length - 1),
        edits: fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { maxLength: 4 }),
        cut: fc.nat(),
      })
      .map(({ frame, edits, cut }) => {
        const bytes = Buffer.from(frames[frame]?.payload_hex ?? '', 'hex')
        for (const { at, byte } of edits) bytes[at % bytes.length] = byte
        return cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes
      })
    const check = (payload: Uint8Array) => {
      for (const wire of [codec, sglangCodec()]) {
        try {
          wire.decode(payload, context)
        } catch (error) {
          expect(KvFleetError.is(error, 'KV_EVENT_MALFORMED')).toBe(true)
        }
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), check), { numRuns: 3000 })
    fc.assert(fc.property(mutated, check), { numRuns: 3000 })
  })
})
