import { hashPosition, MAX_LOAD } from './hash-position.js'

const INITIAL_PLACES = 16

/**
 * What one holder has in one key space: from the engine's hash to the id of the block in the `BlockTable`, with the media
 * that it lies on. Open addressing in typed arrays, 13 bytes a place.
 */
export class HeldBlocks {
  size = 0
  private hashes = new Uint32Array(2 * INITIAL_PLACES)
  /** id + 1 at a place; 0 is free. */
  private ids = new Int32Array(INITIAL_PLACES)
  private media = new Uint8Array(INITIAL_PLACES)
  private mask = INITIAL_PLACES - 1

  get bytes(): number {
    return this.hashes.byteLength + this.ids.byteLength + this.media.byteLength
  }

  /** The place of an engine hash, or -1. Valid until the next change. */
  find(high: number, low: number): number {
    const { ids, hashes, mask } = this
    for (let place = hashPosition(high, low, mask); ; place = (place + 1) & mask) {
      if (ids[place] === 0) return -1
      if (hashes[2 * place + 1] === low && hashes[2 * place] === high) return place
    }
  }

  id(place: number): number {
    return (this.ids[place] as number) - 1
  }

  setId(place: number, id: number): void {
    this.ids[place] = id + 1
  }

  mediaAt(place: number): number {
    return this.media[place] as number
  }

  setMedia(place: number, media: number): void {
    this.media[place] = media
  }

  /** The hash must not be there. */
  insert(high: number, low: number, id: number, media: number): void {
    if (this.size + 1 > MAX_LOAD * this.ids.length) this.grow()
    this.put(high, low, id, media)
    this.size++
  }

  delete(place: number): void {
    const { hashes, ids, media, mask } = this
    let hole = place
    for (let next = (hole + 1) & mask; ids[next] !== 0; next = (next + 1) & mask) {
      const home = hashPosition(hashes[2 * next] as number, hashes[2 * next + 1] as number, mask)
      if (((next - home) & mask) < ((next - hole) & mask)) continue
      hashes[2 * hole] = hashes[2 * next] as number
      hashes[2 * hole + 1] = hashes[2 * next + 1] as number
      ids[hole] = ids[next] as number
      media[hole] = media[next] as number
      hole = next
    }
    ids[hole] = 0
    this.size--
  }

  /** Calls back with every id, in no order; no changes meanwhile. */
  forEachId(visit: (id: number) => void): void {
    for (const entry of this.ids) if (entry !== 0) visit(entry - 1)
  }

  /** Engine hashes in pairs of words of the blocks that lie on any of `media`. */
  hashesOn(media: number): Uint32Array {
    const found: number[] = []
    for (let place = 0; place < this.ids.length; place++) {
      if (this.ids[place] !== 0 && ((this.media[place] as number) & media) !== 0) {
        found.push(this.hashes[2 * place] as number, this.hashes[2 * place + 1] as number)
      }
    }
    return Uint32Array.from(found)
  }

  private put(high: number, low: number, id: number, media: number): void {
    let place = hashPosition(high, low, this.mask)
    while (this.ids[place] !== 0) place = (place + 1) & this.mask
    this.hashes[2 * place] = high
    this.hashes[2 * place + 1] = low
    this.ids[place] = id + 1
    this.media[place] = media
  }

  private grow(): void {
    const { hashes, ids, media } = this
    this.hashes = new Uint32Array(2 * hashes.length)
    this.ids = new Int32Array(2 * ids.length)
    this.media = new Uint8Array(2 * media.length)
    this.mask = this.ids.length - 1
    for (let place = 0; place < ids.length; place++) {
      const entry = ids[place] as number
      if (entry !== 0) this.put(hashes[2 * place] as number, hashes[2 * place + 1] as number, entry - 1, media[place] as number)
    }
  }
}
