import { canonicalExtraKey } from '../../block-hashes/index.js'
import type { KvCacheGroup, KvDecodeContext, KvEventCodec } from './codec.js'
import { impliedExtraKeys, readStored } from './stored-blocks.js'
import { decodeTaggedBatch, type WireEvent } from './tagged-batch.js'
import { malformed, plain, readHashes, readMedium } from './wire-values.js'

/** Order of the array generation; the map generation uses the same names. */
const FIELDS = {
  BlockStored: [
    'block_hashes',
    'parent_block_hash',
    'token_ids',
    'block_size',
    'lora_id',
    'medium',
    'lora_name',
    'extra_keys',
    'group_idx',
    'kv_cache_spec_kind',
    'kv_cache_spec_sliding_window',
    'locality',
    'ownership',
  ],
  BlockRemoved: ['block_hashes', 'medium', 'group_idx', 'locality', 'ownership'],
  AllBlocksCleared: [],
} as const

/** Cache kinds in which a block says that everything before it can be attended to as well. */
const WHOLE_PREFIX = new Set(['full_attention', 'mla_attention', 'sink_full_attention'])

/** vLLM's events: maps (0.22 and later) and arrays (before), hashes as integers or digests. */
export function vllmCodec(): KvEventCodec {
  return {
    name: 'vllm',
    decode: (payload, context) =>
      decodeTaggedBatch(payload, {
        fields: FIELDS,
        read: (type, event) => {
          if (type === 'AllBlocksCleared') return { event: { type: 'cleared', holder: context.holder }, group: undefined }
          const group = readGroup(event)
          if (type === 'BlockRemoved') return { event: readRemoved(event, context), group }
          // Groups of other kinds leave out blocks that they do not keep: their tokens do not fit their hashes.
          if (group?.wholePrefix === false) return undefined
          return { event: readStored('vllm', event, context, (blocks, lora) => readExtraKeys(event.extra_keys, blocks, lora)), group }
        },
      }),
  }
}

function readRemoved(event: WireEvent, { holder }: KvDecodeContext) {
  const medium = readMedium(event.medium, event.locality)
  return { type: 'removed', holder, medium, hashes: readHashes(event.block_hashes, 'block_hashes') } as const
}

function readGroup({ group_idx: index, kv_cache_spec_kind: kind }: WireEvent): KvCacheGroup | undefined {
  const wholePrefix = typeof kind === 'string' ? WHOLE_PREFIX.has(kind) : undefined
  if (index == null) return wholePrefix === false ? { index: 0, wholePrefix } : undefined
  if (typeof index !== 'number' || !Number.isInteger(index)) throw malformed('group_idx', 'an integer')
  return { index, wholePrefix }
}

/** One entry per block: adapter name, [image, offset] pairs, salt, embedding digests, in this order. */
function readExtraKeys(value: unknown, blocks: number, lora: string | undefined): (string | undefined)[] | undefined {
  if (value == null) return impliedExtraKeys(blocks, lora)
  if (!Array.isArray(value) || value.length < blocks) throw malformed('extra_keys', 'one entry for each hash')
  // Nearly always; checked first because this runs for every event.
  if (value.every(entry => entry === null)) return undefined
  return value.slice(0, blocks).map((entry: unknown) => {
    if (entry == null) return undefined
    if (!Array.isArray(entry)) throw malformed('extra_keys', 'null or a list for each hash')
    return canonicalExtraKey(entry.map(plain))
  })
}
