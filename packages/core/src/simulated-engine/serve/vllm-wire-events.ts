import { vllmBlockDigest, vllmNoneHash } from '../../block-hashes/vllm.js'
import type { BlockHashes } from '../../kv-events/kv-event.js'
import type { SimulatedKvEvent } from '../model/engine.js'
import { MessagePackWriter } from './message-pack-writer.js'
import type { ServedKvEventsOptions } from './options.js'

type Stored = Extract<SimulatedKvEvent, { type: 'stored' }>

/** The parts of an event in vLLM's order, each written under its name (map generation) or bare (array generation). */
type Field = readonly [name: string, write: (writer: MessagePackWriter) => void]

const RANK = 0
const MEDIUM: Field = ['medium', writer => writer.text('GPU')]
const GROUP: Field = ['group_idx', writer => writer.unsigned(0)]
const writeNil = (writer: MessagePackWriter) => writer.nil()

/**
 * The engine's events as vLLM publishes them. The model's own hashes are replaced by those of vLLM's `sha256_cbor`
 * chain, computed from the tokens; whole digests are kept for as long as a block is cached, because its followers
 * chain on them.
 */
export class VllmWireEvents {
  readonly #options: Required<Pick<ServedKvEventsOptions, 'wireGeneration' | 'hashes' | 'hashSeed'>>
  readonly #blockSize: number
  readonly #noneHash: Uint8Array
  readonly #digests = new Map<string, Uint8Array>()
  readonly #writer = new MessagePackWriter()

  constructor(blockSize: number, options: Required<Pick<ServedKvEventsOptions, 'wireGeneration' | 'hashes' | 'hashSeed'>>) {
    this.#options = options
    this.#blockSize = blockSize
    this.#noneHash = vllmNoneHash(options.hashSeed)
  }

  /** One batch: `[timestamp, events, rank]`. */
  encode(events: readonly SimulatedKvEvent[], publishedAtSeconds: number): Buffer {
    const writer = this.#writer
    writer.array(3)
    writer.float(publishedAtSeconds)
    writer.array(events.length)
    for (const event of events) {
      if (event.type === 'stored') this.#stored(event)
      else if (event.type === 'removed') this.#removed(event.hashes, event.copiesLeft ?? false)
      else {
        this.#digests.clear()
        this.#event('AllBlocksCleared', [])
      }
    }
    writer.unsigned(RANK)
    return writer.take()
  }

  #stored({ hashes, parent, tokens, cacheSalt }: Stored): void {
    const blocks = hashes.length / 2
    const ids = tokens ?? new Uint32Array(blocks * this.#blockSize)
    const parentDigest = parent === undefined ? undefined : this.#digest(parent)
    let last = parentDigest ?? this.#noneHash
    const digests = Array.from({ length: blocks }, (_, block) => {
      const salted = block === 0 && parent === undefined && cacheSalt !== undefined
      last = vllmBlockDigest(
        last,
        ids.subarray(block * this.#blockSize, (block + 1) * this.#blockSize),
        salted ? [['cache_salt', cacheSalt]] : undefined,
      )
      this.#digests.set(keyOf(hashes, block), last)
      return last
    })
    this.#event('BlockStored', [
      ['block_hashes', writer => this.#writeHashes(writer, digests)],
      ['parent_block_hash', writer => (parentDigest === undefined ? writer.nil() : this.#writeHash(writer, parentDigest))],
      ['token_ids', writer => writeIds(writer, ids)],
      ['block_size', writer => writer.unsigned(this.#blockSize)],
      ['lora_id', writeNil],
      MEDIUM,
      ['lora_name', writeNil],
      ['extra_keys', writer => writeExtraKeys(writer, blocks, parent === undefined ? cacheSalt : undefined)],
      GROUP,
      ['kv_cache_spec_kind', writer => writer.text('full_attention')],
    ])
  }

  #removed(hashes: BlockHashes, copiesLeft: boolean): void {
    const digest = this.#digest(hashes)
    if (!copiesLeft) this.#digests.delete(keyOf(hashes, 0))
    this.#event('BlockRemoved', [['block_hashes', writer => this.#writeHashes(writer, [digest])], MEDIUM, GROUP])
  }

  #event(tag: string, fields: readonly Field[]): void {
    const writer = this.#writer
    const named = this.#options.wireGeneration === 'map'
    if (named) {
      writer.map(fields.length + 1)
      writer.text('type')
    } else {
      writer.array(fields.length + 1)
    }
    writer.text(tag)
    for (const [name, write] of fields) {
      if (named) writer.text(name)
      write(writer)
    }
  }

  #digest(hashes: BlockHashes): Uint8Array {
    return this.#digests.get(keyOf(hashes, 0)) ?? this.#noneHash
  }

  #writeHashes(writer: MessagePackWriter, digests: readonly Uint8Array[]): void {
    writer.array(digests.length)
    for (const digest of digests) this.#writeHash(writer, digest)
  }

  #writeHash(writer: MessagePackWriter, digest: Uint8Array): void {
    if (this.#options.hashes === 'bytes') return writer.bytes(digest)
    const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
    writer.unsigned64(view.getUint32(digest.byteLength - 8), view.getUint32(digest.byteLength - 4))
  }
}

function writeIds(writer: MessagePackWriter, ids: Uint32Array): void {
  writer.array(ids.length)
  for (let index = 0; index < ids.length; index++) writer.unsigned(ids[index] as number)
}

/** Untagged, one entry per block; the salt belongs to the first block of a prompt. */
function writeExtraKeys(writer: MessagePackWriter, blocks: number, cacheSalt: string | undefined): void {
  writer.array(blocks)
  for (let block = 0; block < blocks; block++) {
    if (block > 0 || cacheSalt === undefined) writer.nil()
    else {
      writer.array(1)
      writer.text(cacheSalt)
    }
  }
}

function keyOf(hashes: BlockHashes, block: number): string {
  return `${hashes[2 * block]}.${hashes[2 * block + 1]}`
}
