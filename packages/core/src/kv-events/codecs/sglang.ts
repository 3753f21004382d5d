import type { KvEventCodec } from './codec.js'
import { impliedExtraKeys, readStored } from './stored-blocks.js'
import { decodeTaggedBatch, type WireEvent } from './tagged-batch.js'
import { readHashes, readMedium } from './wire-values.js'

/** Order of the array generation; one build put a map with the salt behind the medium. */
const FIELDS = {
  BlockStored: ['block_hashes', 'parent_block_hash', 'token_ids', 'block_size', 'lora_id', 'medium', 'trailer'],
  BlockRemoved: ['block_hashes', 'medium'],
  AllBlocksCleared: [],
} as const

/** SGLang's events: one hash a page, signed integers, the last page possibly short, pairs of ids with EAGLE. */
export function sglangCodec(): KvEventCodec {
  return {
    name: 'sglang',
    decode: (payload, context) =>
      decodeTaggedBatch(payload, {
        fields: FIELDS,
        read: (type, event) => {
          const { holder } = context
          if (type === 'AllBlocksCleared') return { event: { type: 'cleared', holder }, group: undefined }
          if (type === 'BlockRemoved') {
            const medium = readMedium(event.medium, event.locality)
            return { event: { type: 'removed', holder, medium, hashes: readHashes(event.block_hashes, 'block_hashes') }, group: undefined }
          }
          const salt = event.parent_block_hash == null ? readSalt(event) : undefined
          const stored = readStored('sglang', event, context, (blocks, lora) => impliedExtraKeys(blocks, lora, salt))
          return stored.hashes.length === 0 ? undefined : { event: stored, group: undefined }
        },
      }),
  }
}

/** The salt seeds the chain, so it belongs to a prompt's first page only. */
function readSalt({ cache_salt: salt, trailer }: WireEvent): string | undefined {
  const nested = typeof trailer === 'object' && trailer !== null ? (trailer as WireEvent).cache_salt : undefined
  const value = salt ?? nested
  return typeof value === 'string' ? value : undefined
}
