import type { BlockHashes } from '../kv-events/kv-event.js'

export interface ChainOptions {
  /** Hash of the block before the first one: two words. Default: the start of a prompt. */
  readonly parent?: BlockHashes
  /** Per block, what besides tokens parts it from others (LoRA, cache salt, images), as canonical text. */
  readonly extraKeys?: readonly (string | undefined)[]
}

/**
 * kvfleet's own hash chain: 64 bits a block, each block's hash covering everything before it. Two 32-bit lanes of
 * multiply-rotate rounds, mixed at the block's end; not for secrets. Only full blocks are hashed.
 *
 * Returns pairs of words, [high, low] for each of floor(tokens.length / blockSize) blocks.
 */
export function chainBlockHashes(tokens: Uint32Array, blockSize: number, options: ChainOptions = {}): BlockHashes {
  const blocks = Math.floor(tokens.length / blockSize)
  const hashes = new Uint32Array(2 * blocks)
  let high = options.parent?.[0] ?? 0x6b766c65
  let low = options.parent?.[1] ?? 0x66656574
  for (let block = 0; block < blocks; block++) {
    let a = high ^ 0x9e3779b9
    let b = low ^ 0x7f4a7c15
    const end = (block + 1) * blockSize
    for (let index = block * blockSize; index < end; index++) {
      const token = tokens[index] as number
      a = Math.imul(a ^ token, 0xcc9e2d51)
      a = (a << 15) | (a >>> 17)
      b = Math.imul(((b << 11) | (b >>> 21)) + token, 0x1b873593)
    }
    const extra = options.extraKeys?.[block]
    if (extra !== undefined) {
      for (let index = 0; index < extra.length; index++) {
        a = Math.imul(a ^ extra.charCodeAt(index), 0xe6546b65)
        b = Math.imul(((b << 7) | (b >>> 25)) + extra.charCodeAt(index), 0x85ebca6b)
      }
      // Parts a block with an empty extra key from one without any.
      a ^= extra.length + 1
    }
    high = mix(a + Math.imul(b, 0x2545f491))
    low = mix(b + Math.imul(high, 0x27d4eb2f))
    hashes[2 * block] = high
    hashes[2 * block + 1] = low
  }
  return hashes
}

/**
 * The extra keys of a request's blocks in canonical form: its LoRA adapter on every block, its cache salt on the
 * first, as engines hash them. undefined when it has neither.
 */
export function promptExtraKeys(
  { lora, cacheSalt }: { readonly lora?: string | undefined; readonly cacheSalt?: string | undefined },
  blocks: number,
): (string | undefined)[] | undefined {
  if (lora === undefined && cacheSalt === undefined) return undefined
  const rest = lora === undefined ? undefined : canonicalExtraKey([lora])
  const keys = new Array<string | undefined>(blocks).fill(rest)
  if (blocks > 0) keys[0] = canonicalExtraKey([lora, cacheSalt].filter(key => key !== undefined))
  return keys
}

/** One text for a list of keys; the same list always gives the same text. */
export function canonicalExtraKey(keys: readonly unknown[]): string | undefined {
  return keys.length === 0 ? undefined : JSON.stringify(keys)
}

function mix(value: number): number {
  let x = value ^ (value >>> 16)
  x = Math.imul(x, 0x85ebca6b)
  x ^= x >>> 13
  x = Math.imul(x, 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}
