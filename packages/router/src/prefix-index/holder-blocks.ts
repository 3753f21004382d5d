import type { KvBlocksRemoved, KvBlocksStored, KvCleared, KvKeySpace, KvMedium } from '@kvfleet/core'
import { canonicalExtraKey, chainBlockHashes } from '@kvfleet/core/block-hashes'
import type { BlockTable } from './block-table.js'
import { HeldBlocks } from './held-blocks.js'
import { ParkedBlocks, parkedKey } from './parked-blocks.js'

const MEDIUM_BITS: Readonly<Record<KvMedium, number>> = { gpu: 1, cpu: 2, disk: 4, remote: 8 }

/** Hashes of this scheme are already the router's own. */
const OWN_SCHEME = 'kvfleet'

/**
 * Engine hashes of one chain. The adapter (`lora`) is no part of it: it parts the engine's hashes and ours alike, and
 * `removed` events do not name it.
 */
interface Space {
  readonly scheme: string
  readonly model: string
  readonly blockSize: number
  readonly held: HeldBlocks
  parked: ParkedBlocks | undefined
}

/** Two engine hashes of one holder may mean one block of ours; the bit stays until the last of them goes. */
export type SharedBits = Map<number, number>

/** Holder numbers are below this, so that block id and holder fit one number. */
export const MAX_HOLDERS = 65_536

/** Applies the events of one holder: a rank of one worker incarnation. */
export class HolderBlocks {
  private readonly spaces: Space[] = []

  constructor(
    private readonly table: BlockTable,
    private readonly shared: SharedBits,
    /** Its number in the table. */
    readonly holder: number,
    private readonly maxParkedBlocks: number,
  ) {}

  get bytes(): number {
    return this.spaces.reduce((sum, { held }) => sum + held.bytes, 0)
  }

  stored(event: KvBlocksStored): void {
    const space = this.spaceOf(event.keySpace)
    const bit = MEDIUM_BITS[event.medium]
    const { hashes, tokens } = event
    if (space.scheme === OWN_SCHEME) this.putAll(space, hashes, hashes, hashes.length / 2, bit)
    else if (tokens === undefined) this.moved(space, hashes, bit)
    else this.storedWithTokens(space, event, tokens, bit)
  }

  removed({ hashes, medium }: KvBlocksRemoved): void {
    const bit = MEDIUM_BITS[medium]
    for (const space of this.spaces) this.drop(space, hashes, bit)
  }

  cleared({ medium }: KvCleared): void {
    if (medium === undefined) return this.clear()
    const bit = MEDIUM_BITS[medium]
    for (const space of this.spaces) {
      this.drop(space, space.held.hashesOn(bit), bit)
      space.parked?.clear(bit)
    }
  }

  clear(): void {
    for (const { held } of this.spaces) held.forEachId(id => this.unlink(id))
    this.spaces.length = 0
  }

  private spaceOf({ scheme, model, blockSize }: KvKeySpace): Space {
    const known = this.spaces.find(space => space.blockSize === blockSize && space.scheme === scheme && space.model === model)
    if (known !== undefined) return known
    const space: Space = { scheme, model, blockSize, held: new HeldBlocks(), parked: undefined }
    this.spaces.push(space)
    return space
  }

  private storedWithTokens(space: Space, event: KvBlocksStored, tokens: Uint32Array, bit: number): void {
    const { hashes, parent } = event
    const extraKeys = event.extraKeys ?? loraKeys(event.keySpace.lora, hashes.length / 2)
    const blocks = Math.min(hashes.length / 2, Math.floor(tokens.length / space.blockSize))
    if (parent !== undefined) {
      const place = space.held.find(parent[0] as number, parent[1] as number)
      if (place < 0) return this.storedAfterUnknown(space, hashes, parent, tokens, extraKeys, blocks, bit)
      this.putAll(space, hashes, ownHashes(space, tokens, extraKeys, this.ownHash(space.held.id(place))), blocks, bit)
    } else {
      this.putAll(space, hashes, ownHashes(space, tokens, extraKeys, undefined), blocks, bit)
    }
  }

  /** Block by block: those known already keep counting, what follows them can be told, the rest waits. */
  private storedAfterUnknown(
    space: Space,
    hashes: Uint32Array,
    parent: Uint32Array,
    tokens: Uint32Array,
    extraKeys: readonly (string | undefined)[] | undefined,
    blocks: number,
    bit: number,
  ): void {
    let before = parent
    let ownBefore: Uint32Array | undefined
    for (let block = 0; block < blocks; block++) {
      const hash = hashes.subarray(2 * block, 2 * block + 2)
      const high = hash[0] as number
      const low = hash[1] as number
      const blockTokens = tokens.slice(block * space.blockSize, (block + 1) * space.blockSize)
      const extraKey = extraKeys?.[block]
      const place = space.held.find(high, low)
      if (place >= 0) {
        space.held.setMedia(place, space.held.mediaAt(place) | bit)
        ownBefore = this.ownHash(space.held.id(place))
      } else if (ownBefore !== undefined) {
        ownBefore = ownHashes(space, blockTokens, [extraKey], ownBefore)
        this.putAll(space, hash, ownBefore, 1, bit)
      } else {
        space.parked ??= new ParkedBlocks(this.maxParkedBlocks)
        const media = (space.parked.get(high, low)?.media ?? 0) | bit
        const parentKey = parkedKey(before[0] as number, before[1] as number)
        space.parked.add({ high, low, parentKey, tokens: blockTokens, extraKey, media })
      }
      before = hash
    }
  }

  private ownHash(id: number): Uint32Array {
    return Uint32Array.of(this.table.high(id), this.table.low(id))
  }

  private putAll(space: Space, hashes: Uint32Array, own: Uint32Array, blocks: number, media: number): void {
    for (let at = 0; at < 2 * blocks; at += 2) {
      this.put(space, hashes[at] as number, hashes[at + 1] as number, own[at] as number, own[at + 1] as number, media)
    }
    if (space.parked !== undefined && space.parked.size > 0) this.adopt(space, space.parked, hashes, own, blocks)
  }

  private put(space: Space, high: number, low: number, ownHigh: number, ownLow: number, media: number): void {
    const { held } = space
    const place = held.find(high, low)
    if (place < 0) {
      held.insert(high, low, this.link(ownHigh, ownLow), media)
    } else {
      const id = held.id(place)
      if (this.table.high(id) === ownHigh && this.table.low(id) === ownLow) {
        held.setMedia(place, held.mediaAt(place) | media)
      } else {
        // The engine gave this hash to other tokens: what was known of it no longer holds.
        this.unlink(id)
        held.setId(place, this.link(ownHigh, ownLow))
        held.setMedia(place, media)
      }
    }
  }

  /** Places everything that waited for these blocks, and what waited for that. */
  private adopt(space: Space, parked: ParkedBlocks, hashes: Uint32Array, own: Uint32Array, blocks: number): void {
    const parents: number[] = []
    for (let at = 0; at < 2 * blocks; at += 2) {
      const [high, low, ownHigh, ownLow] = [hashes[at] as number, hashes[at + 1] as number, own[at] as number, own[at + 1] as number]
      const waited = parked.get(high, low)
      if (waited !== undefined) {
        parked.delete(high, low)
        this.put(space, high, low, ownHigh, ownLow, waited.media)
      }
      parents.push(high, low, ownHigh, ownLow)
    }
    while (parents.length > 0 && parked.size > 0) {
      const [high, low, ownHigh, ownLow] = parents.splice(-4) as [number, number, number, number]
      for (const child of parked.takeChildren(high, low)) {
        const hash = ownHashes(space, child.tokens, [child.extraKey], Uint32Array.of(ownHigh, ownLow))
        this.put(space, child.high, child.low, hash[0] as number, hash[1] as number, child.media)
        parents.push(child.high, child.low, hash[0] as number, hash[1] as number)
      }
    }
  }

  /** Blocks that came to a further medium: known by their engine hash or not at all. */
  private moved(space: Space, hashes: Uint32Array, bit: number): void {
    for (let at = 0; at < hashes.length; at += 2) {
      const high = hashes[at] as number
      const low = hashes[at + 1] as number
      const place = space.held.find(high, low)
      if (place >= 0) {
        space.held.setMedia(place, space.held.mediaAt(place) | bit)
        continue
      }
      const parked = space.parked?.get(high, low)
      if (parked !== undefined) parked.media |= bit
    }
  }

  private drop(space: Space, hashes: Uint32Array, bit: number): void {
    const { held, parked } = space
    for (let at = 0; at < hashes.length; at += 2) {
      const high = hashes[at] as number
      const low = hashes[at + 1] as number
      const place = held.find(high, low)
      if (place >= 0) {
        const left = held.mediaAt(place) & ~bit
        if (left !== 0) {
          held.setMedia(place, left)
        } else {
          this.unlink(held.id(place))
          held.delete(place)
        }
      } else if (parked !== undefined) {
        const waiting = parked.get(high, low)
        if (waiting === undefined) continue
        waiting.media &= ~bit
        if (waiting.media === 0) parked.delete(high, low)
      }
    }
  }

  private link(high: number, low: number): number {
    const id = this.table.find(high, low)
    if (id < 0 || !this.table.has(id, this.holder)) return this.table.add(high, low, this.holder)
    const key = id * MAX_HOLDERS + this.holder
    this.shared.set(key, (this.shared.get(key) ?? 0) + 1)
    return id
  }

  private unlink(id: number): void {
    const key = id * MAX_HOLDERS + this.holder
    const others = this.shared.size === 0 ? 0 : (this.shared.get(key) ?? 0)
    if (others === 0) this.table.remove(id, this.holder)
    else if (others === 1) this.shared.delete(key)
    else this.shared.set(key, others - 1)
  }
}

function ownHashes(
  { blockSize }: Space,
  tokens: Uint32Array,
  extraKeys: readonly (string | undefined)[] | undefined,
  parent: Uint32Array | undefined,
): Uint32Array {
  return chainBlockHashes(tokens, blockSize, { ...(parent && { parent }), ...(extraKeys && { extraKeys }) })
}

/** The keys of events that name their adapter for all blocks instead of block by block. */
function loraKeys(lora: string | undefined, blocks: number): (string | undefined)[] | undefined {
  return lora === undefined ? undefined : new Array<string | undefined>(blocks).fill(canonicalExtraKey([lora]))
}
