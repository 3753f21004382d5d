import { hashPosition, MAX_LOAD } from './hash-position.js'

const INITIAL_PLACES = 64

/**
 * The distinct blocks of all holders, by the router's own 64-bit hash. A block has an id that stays the same while any
 * holder has it, and one bit a holder. Typed arrays only: hashes and bits by id, and an open-addressing table of ids.
 */
export class BlockTable {
  /** Blocks held by anyone, and (block, holder) pairs. */
  blocks = 0
  memberships = 0
  /** Words of 32 holder bits a block. */
  words = 1
  /** Two words a block id; the first links the free list of ids that are not in use. */
  private hashes = new Uint32Array(2 * INITIAL_PLACES)
  private bits = new Uint32Array(INITIAL_PLACES)
  /** id + 1 at a place; 0 is free. */
  private places = new Int32Array(INITIAL_PLACES)
  private mask = INITIAL_PLACES - 1
  private usedIds = 0
  private freeId = -1

  get bytes(): number {
    return this.hashes.byteLength + this.bits.byteLength + this.places.byteLength
  }

  high(id: number): number {
    return this.hashes[2 * id] as number
  }

  low(id: number): number {
    return this.hashes[2 * id + 1] as number
  }

  has(id: number, holder: number): boolean {
    return (((this.bits[id * this.words + (holder >>> 5)] as number) >>> (holder & 31)) & 1) === 1
  }

  /** The block's id, or -1. */
  find(high: number, low: number): number {
    const { places, hashes, mask } = this
    for (let place = hashPosition(high, low, mask); ; place = (place + 1) & mask) {
      const id = (places[place] as number) - 1
      if (id < 0 || (hashes[2 * id + 1] === low && hashes[2 * id] === high)) return id
    }
  }

  /** Sets the holder's bit, which must not be set, and returns the block's id. */
  add(high: number, low: number, holder: number): number {
    const found = this.find(high, low)
    const id = found < 0 ? this.insert(high, low) : found
    const at = id * this.words + (holder >>> 5)
    this.bits[at] = (this.bits[at] as number) | (1 << (holder & 31))
    this.memberships++
    return id
  }

  /** Clears the holder's bit, which must be set; the block goes with its last holder. */
  remove(id: number, holder: number): void {
    const first = id * this.words
    const at = first + (holder >>> 5)
    this.bits[at] = (this.bits[at] as number) & ~(1 << (holder & 31))
    this.memberships--
    for (let word = 0; word < this.words; word++) if (this.bits[first + word] !== 0) return
    this.delete(id)
  }

  /** Makes room for holder numbers below `holders`. */
  widen(holders: number): void {
    if (holders <= 32 * this.words) return
    const words = Math.ceil(holders / 32)
    const capacity = this.bits.length / this.words
    const bits = new Uint32Array(capacity * words)
    for (let id = 0; id < this.usedIds; id++) {
      for (let word = 0; word < this.words; word++) bits[id * words + word] = this.bits[id * this.words + word] as number
    }
    this.bits = bits
    this.words = words
  }

  /**
   * Leading blocks of the chain by holder, into `runs`, for the holders whose bits are set in `active`; uses up `active`.
   * One look-up a block, whatever the number of holders.
   */
  leadingRuns(hashes: Uint32Array, active: Uint32Array, runs: Int32Array): void {
    const { words, bits } = this
    const blocks = hashes.length / 2
    let left = active.some(word => word !== 0)
    let block = 0
    for (; left && block < blocks; block++) {
      const id = this.find(hashes[2 * block] as number, hashes[2 * block + 1] as number)
      if (id < 0) break
      left = false
      for (let word = 0; word < words; word++) {
        const before = active[word] as number
        if (before === 0) continue
        const still = before & (bits[id * words + word] as number)
        if (still !== before) {
          recordRuns(runs, 32 * word, before ^ still, block)
          active[word] = still
        }
        if (still !== 0) left = true
      }
    }
    for (let word = 0; word < words; word++) recordRuns(runs, 32 * word, active[word] as number, block)
  }

  private insert(high: number, low: number): number {
    if (this.blocks + 1 > MAX_LOAD * this.places.length) this.growPlaces()
    const id = this.takeId()
    this.hashes[2 * id] = high
    this.hashes[2 * id + 1] = low
    this.place(id)
    this.blocks++
    return id
  }

  private place(id: number): void {
    let place = hashPosition(this.high(id), this.low(id), this.mask)
    while (this.places[place] !== 0) place = (place + 1) & this.mask
    this.places[place] = id + 1
  }

  private takeId(): number {
    if (this.freeId >= 0) {
      const id = this.freeId
      this.freeId = (this.hashes[2 * id] as number) - 1
      return id
    }
    if (2 * this.usedIds === this.hashes.length) {
      this.hashes = doubled(this.hashes)
      this.bits = doubled(this.bits)
    }
    return this.usedIds++
  }

  private growPlaces(): void {
    const old = this.places
    this.places = new Int32Array(2 * old.length)
    this.mask = this.places.length - 1
    for (const entry of old) if (entry !== 0) this.place(entry - 1)
  }

  private delete(id: number): void {
    const { places, mask } = this
    let hole = hashPosition(this.high(id), this.low(id), mask)
    while (places[hole] !== id + 1) hole = (hole + 1) & mask
    // Backward shift: whoever would no longer be found across the hole moves into it, so no tombstones pile up.
    for (let next = (hole + 1) & mask; places[next] !== 0; next = (next + 1) & mask) {
      const moving = (places[next] as number) - 1
      const home = hashPosition(this.high(moving), this.low(moving), mask)
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        places[hole] = places[next] as number
        hole = next
      }
    }
    places[hole] = 0
    this.hashes[2 * id] = this.freeId + 1
    this.freeId = id
    this.blocks--
    if (this.blocks === 0) this.reset()
  }

  /** Gives the memory back when the last block is gone. */
  private reset(): void {
    this.hashes = new Uint32Array(2 * INITIAL_PLACES)
    this.bits = new Uint32Array(INITIAL_PLACES * this.words)
    this.places = new Int32Array(INITIAL_PLACES)
    this.mask = INITIAL_PLACES - 1
    this.usedIds = 0
    this.freeId = -1
  }
}

function doubled(array: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * array.length)
  larger.set(array)
  return larger
}

/** Notes for every holder in `bits` how many leading blocks it has. */
function recordRuns(runs: Int32Array, firstHolder: number, bits: number, blocks: number): void {
  let rest = bits
  while (rest !== 0) {
    const bit = 31 - Math.clz32(rest)
    runs[firstHolder + bit] = blocks
    rest &= ~(1 << bit)
  }
}
