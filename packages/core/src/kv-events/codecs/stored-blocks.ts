import { canonicalExtraKey } from '../../block-hashes/index.js'
import type { KvBlocksStored } from '../kv-event.js'
import type { KvDecodeContext } from './codec.js'
import type { WireEvent } from './tagged-batch.js'
import { malformed, readHashes, readMedium, readParent, readTokens } from './wire-values.js'

/** What both engines' BlockStored have in common; `extraKeys` is each engine's own. */
export function readStored(
  scheme: string,
  event: WireEvent,
  context: KvDecodeContext,
  extraKeys: (blocks: number, lora: string | undefined) => readonly (string | undefined)[] | undefined,
): KvBlocksStored {
  const blockSize = event.block_size
  if (typeof blockSize !== 'number' || !Number.isInteger(blockSize) || blockSize < 1) throw malformed('block_size', 'a positive integer')
  const tokens = readTokens(event.token_ids, 'token_ids')
  let hashes = readHashes(event.block_hashes, 'block_hashes')
  if (tokens !== undefined) {
    const full = Math.floor(tokens.length / blockSize)
    // A last page that is not full has a hash, but nobody else's prompt can share it.
    if (full + 1 === hashes.length / 2 && tokens.length % blockSize !== 0) hashes = hashes.subarray(0, 2 * full)
    else if (full !== hashes.length / 2 || tokens.length % blockSize !== 0) throw malformed('token_ids', 'block_size ids for each hash')
  }
  const lora = readLora(event)
  const keys = extraKeys(hashes.length / 2, lora)
  return {
    type: 'stored',
    holder: context.holder,
    medium: readMedium(event.medium, event.locality),
    keySpace: { model: context.model, scheme, blockSize, ...(lora === undefined ? {} : { lora }) },
    hashes,
    parent: readParent(event.parent_block_hash, 'parent_block_hash'),
    tokens: tokens?.subarray(0, (hashes.length / 2) * blockSize),
    ...(keys === undefined ? {} : { extraKeys: keys }),
  }
}

/** The adapter's name; builds that send only its number get a name that no adapter has. */
function readLora({ lora_name: name, lora_id: id }: WireEvent): string | undefined {
  if (typeof name === 'string') return name
  return id == null ? undefined : `lora_id:${String(id)}`
}

/** The keys of blocks whose event does not list them: the adapter's name on each, the salt on the first of a prompt. */
export function impliedExtraKeys(blocks: number, lora: string | undefined, salt?: string): (string | undefined)[] | undefined {
  if (lora === undefined && salt === undefined) return undefined
  const keys = new Array<string | undefined>(blocks).fill(lora === undefined ? undefined : canonicalExtraKey([lora]))
  if (blocks > 0 && salt !== undefined) keys[0] = canonicalExtraKey(lora === undefined ? [salt] : [lora, salt])
  return keys
}
