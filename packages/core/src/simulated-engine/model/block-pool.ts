import { BlockHashIndex } from './block-hash-index.js'

/** Called for every block that loses its hash. `copiesLeft`: another block still holds the same hash. */
export type OnBlockForgotten = (high: number, low: number, copiesLeft: boolean) => void

/**
 * The KV room in blocks: reference counts, the prefix cache, and one queue of free blocks in the order in which they
 * will be reused. A freed block keeps its hash and can be hit until it is reused, as in vLLM.
 */
export class BlockPool {
  readonly blocks: number
  readonly #onForgotten: OnBlockForgotten
  readonly #index: BlockHashIndex
  readonly #references: Int32Array
  readonly #hashed: Uint8Array
  /** The free queue as a doubly linked list; index `blocks` is its end on both sides. */
  readonly #next: Int32Array
  readonly #previous: Int32Array
  #free: number

  constructor(blocks: number, onForgotten: OnBlockForgotten) {
    this.blocks = blocks
    this.#onForgotten = onForgotten
    this.#index = new BlockHashIndex(blocks)
    this.#references = new Int32Array(blocks)
    this.#hashed = new Uint8Array(blocks)
    this.#next = Int32Array.from({ length: blocks + 1 }, (_, block) => (block === blocks ? 0 : block + 1))
    this.#previous = Int32Array.from({ length: blocks + 1 }, (_, block) => (block === 0 ? blocks : block - 1))
    this.#free = blocks
  }

  get free(): number {
    return this.#free
  }

  /** The block with this hash; -1 when none has it. */
  find(high: number, low: number): number {
    return this.#index.find(high, low)
  }

  isFree(block: number): boolean {
    return this.#references[block] === 0
  }

  /** A cached block gets one more user. */
  touch(block: number): void {
    if (this.#references[block] === 0) this.#unlink(block)
    ;(this.#references[block] as number)++
  }

  /** Takes the first free block; whatever it cached is forgotten. There must be one. */
  allocate(): number {
    const block = this.#next[this.blocks] as number
    this.#unlink(block)
    this.#forget(block)
    this.#references[block] = 1
    return block
  }

  /** Makes a full block hittable. True when another block already held the hash. */
  cache(block: number, high: number, low: number): boolean {
    this.#hashed[block] = 1
    return this.#index.add(block, high, low)
  }

  /**
   * A request lets go of its blocks, of which the first `cached` have hashes. Blocks that nobody can hit are reused
   * first; the rest queue up behind all others, tails before heads.
   */
  release(table: Int32Array, count: number, cached: number): void {
    for (let index = cached; index < count; index++) {
      const block = table[index] as number
      this.#references[block] = 0
      this.#link(block, this.blocks, this.#next[this.blocks] as number)
    }
    for (let index = cached - 1; index >= 0; index--) {
      const block = table[index] as number
      if (--(this.#references[block] as number) === 0) this.#link(block, this.#previous[this.blocks] as number, this.blocks)
    }
  }

  /** Forgets everything. Only while no block is in use. */
  clear(): void {
    this.#index.clear()
    this.#hashed.fill(0)
  }

  /** Forgets the hashes of all free blocks. */
  forgetFree(): void {
    for (let block = this.#next[this.blocks] as number; block !== this.blocks; block = this.#next[block] as number) this.#forget(block)
  }

  #forget(block: number): void {
    if (this.#hashed[block] === 0) return
    this.#hashed[block] = 0
    const copiesLeft = this.#index.remove(block)
    this.#onForgotten(this.#index.high[block] as number, this.#index.low[block] as number, copiesLeft)
  }

  #unlink(block: number): void {
    const next = this.#next[block] as number
    const previous = this.#previous[block] as number
    this.#next[previous] = next
    this.#previous[next] = previous
    this.#free--
  }

  #link(block: number, previous: number, next: number): void {
    this.#next[previous] = block
    this.#previous[block] = previous
    this.#next[block] = next
    this.#previous[next] = block
    this.#free++
  }
}
