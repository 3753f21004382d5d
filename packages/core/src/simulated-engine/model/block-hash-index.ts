/**
 * From a 64-bit hash to the blocks that hold it, the oldest first. Open addressing over typed arrays: this is looked
 * up once per block of every prompt.
 */
export class BlockHashIndex {
  readonly #mask: number
  /** Block number + 1 of the oldest holder; 0 is a free slot. */
  readonly #slots: Int32Array
  readonly #nextCopy: Int32Array
  readonly high: Uint32Array
  readonly low: Uint32Array

  constructor(blocks: number) {
    let capacity = 16
    while (capacity < 2 * blocks) capacity *= 2
    this.#mask = capacity - 1
    this.#slots = new Int32Array(capacity)
    this.#nextCopy = new Int32Array(blocks).fill(-1)
    this.high = new Uint32Array(blocks)
    this.low = new Uint32Array(blocks)
  }

  /** The oldest block with this hash; -1 when there is none. */
  find(high: number, low: number): number {
    return (this.#slots[this.#slotOf(high, low)] as number) - 1
  }

  /** True when another block already held the hash. */
  add(block: number, high: number, low: number): boolean {
    const slot = this.#slotOf(high, low)
    this.high[block] = high
    this.low[block] = low
    this.#nextCopy[block] = -1
    let holder = (this.#slots[slot] as number) - 1
    if (holder < 0) {
      this.#slots[slot] = block + 1
      return false
    }
    for (let next = this.#nextCopy[holder] as number; next >= 0; next = this.#nextCopy[holder] as number) holder = next
    this.#nextCopy[holder] = block
    return true
  }

  /** True when another block still holds the hash. */
  remove(block: number): boolean {
    const slot = this.#slotOf(this.high[block] as number, this.low[block] as number)
    const first = (this.#slots[slot] as number) - 1
    const next = this.#nextCopy[block] as number
    this.#nextCopy[block] = -1
    if (first === block) {
      if (next >= 0) this.#slots[slot] = next + 1
      else this.#vacate(slot)
      return next >= 0
    }
    let holder = first
    while (this.#nextCopy[holder] !== block) holder = this.#nextCopy[holder] as number
    this.#nextCopy[holder] = next
    return true
  }

  clear(): void {
    this.#slots.fill(0)
    this.#nextCopy.fill(-1)
  }

  #home(high: number, low: number): number {
    const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b)
    return (mixed ^ (mixed >>> 15)) & this.#mask
  }

  #slotOf(high: number, low: number): number {
    let slot = this.#home(high, low)
    for (;;) {
      const block = (this.#slots[slot] as number) - 1
      if (block < 0 || (this.low[block] === low && this.high[block] === high)) return slot
      slot = (slot + 1) & this.#mask
    }
  }

  /** Moves later entries of the probe run up, so that no tombstones pile up under steady eviction. */
  #vacate(slot: number): void {
    let hole = slot
    let probe = slot
    for (;;) {
      probe = (probe + 1) & this.#mask
      const block = (this.#slots[probe] as number) - 1
      if (block < 0) break
      const home = this.#home(this.high[block] as number, this.low[block] as number)
      if (((probe - home) & this.#mask) >= ((probe - hole) & this.#mask)) {
        this.#slots[hole] = block + 1
        hole = probe
      }
    }
    this.#slots[hole] = 0
  }
}
