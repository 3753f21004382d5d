/** A block whose parent is unknown, so that its own hash cannot be told yet. */
interface ParkedBlock {
  readonly high: number
  readonly low: number
  readonly parentKey: string
  readonly tokens: Uint32Array
  readonly extraKey: string | undefined
  media: number
}

export function parkedKey(high: number, low: number): string {
  return `${high}:${low}`
}

/**
 * Blocks of one holder and key space that wait for their parent. They count for nothing until it appears. Bounded: beyond
 * `limit` the oldest goes, which only costs overlap. A rare path (after gaps and joins), so plain maps do.
 */
export class ParkedBlocks {
  private readonly blocks = new Map<string, ParkedBlock>()
  private readonly children = new Map<string, Set<string>>()

  constructor(private readonly limit: number) {}

  get size(): number {
    return this.blocks.size
  }

  get(high: number, low: number): ParkedBlock | undefined {
    return this.blocks.get(parkedKey(high, low))
  }

  add(block: ParkedBlock): void {
    const key = parkedKey(block.high, block.low)
    this.delete(block.high, block.low)
    this.blocks.set(key, block)
    const siblings = this.children.get(block.parentKey)
    if (siblings === undefined) this.children.set(block.parentKey, new Set([key]))
    else siblings.add(key)
    if (this.blocks.size <= this.limit) return
    const oldest = this.blocks.values().next().value as ParkedBlock
    this.delete(oldest.high, oldest.low)
  }

  delete(high: number, low: number): void {
    const key = parkedKey(high, low)
    const block = this.blocks.get(key)
    if (block === undefined) return
    this.blocks.delete(key)
    const siblings = this.children.get(block.parentKey)
    siblings?.delete(key)
    if (siblings?.size === 0) this.children.delete(block.parentKey)
  }

  /** Takes out the blocks that waited for this parent. */
  takeChildren(high: number, low: number): ParkedBlock[] {
    const keys = this.children.get(parkedKey(high, low))
    if (keys === undefined) return []
    const taken = [...keys].map(key => this.blocks.get(key) as ParkedBlock)
    for (const block of taken) this.delete(block.high, block.low)
    return taken
  }

  /** Takes `media` from every block and drops those that lie nowhere any more. */
  clear(media: number): void {
    for (const block of [...this.blocks.values()]) {
      block.media &= ~media
      if (block.media === 0) this.delete(block.high, block.low)
    }
  }
}
