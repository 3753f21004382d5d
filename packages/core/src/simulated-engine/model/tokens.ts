/**
 * The output function. A rolling state over all ids so far gives the next id, so a continuation of prompt and output
 * on another engine with the same seed yields the same rest, and one that lost or doubled an id does not.
 */
export class TokenChain {
  readonly #seed: number
  readonly #vocabularySize: number
  #a: number
  #b: number

  constructor(seed: number, vocabularySize: number) {
    // Seeds are safe integers: the part above 32 bits counts too.
    this.#seed = (seed | 0) ^ Math.imul(Math.floor(seed / 2 ** 32) | 0, 0x9e3779b1)
    this.#vocabularySize = vocabularySize
    this.#a = 0x243f6a88
    this.#b = 0x85a308d3
  }

  absorb(id: number): void {
    const a = Math.imul(this.#a ^ id, 0xcc9e2d51)
    this.#a = (a << 13) | (a >>> 19)
    this.#b = Math.imul(((this.#b << 7) | (this.#b >>> 25)) + id + 0x9e3779b9, 0x1b873593)
  }

  /** The id that follows; it is absorbed. */
  next(): number {
    let x = this.#a ^ Math.imul(this.#b ^ this.#seed, 0x2c1b3c6d)
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
    const id = ((x ^ (x >>> 16)) >>> 0) % this.#vocabularySize
    this.absorb(id)
    return id
  }
}

export interface IdSource {
  /** Ids of positions `from` up to, not including, `to`. */
  slice(from: number, to: number): Uint32Array
}

/** The ids of a request whose prompt is known. */
export function idsOfPrompt(prompt: Uint32Array, chain: TokenChain): IdSource {
  const generated = generator(chain, () => {
    for (let index = 0; index < prompt.length; index++) chain.absorb(prompt[index] as number)
  })
  return {
    slice(from, to) {
      if (to <= prompt.length) return prompt.subarray(from, to)
      if (from >= prompt.length) return generated(from - prompt.length, to - prompt.length)
      const ids = new Uint32Array(to - from)
      ids.set(prompt.subarray(from))
      ids.set(generated(0, to - prompt.length), prompt.length - from)
      return ids
    },
  }
}

/**
 * Stand-in ids of a request whose prompt is known by its block hashes only: from the first position after the hashed
 * blocks on, a function of the last hash, the length and the request's id (two requests are not taken to share a tail
 * that nobody described). Positions before `firstPosition` have no ids.
 */
export function idsOfHashes(
  prompt: { readonly length: number; readonly blockHashes: Uint32Array },
  firstPosition: number,
  requestId: string,
  chain: TokenChain,
): IdSource {
  const generated = generator(chain, () => {
    chain.absorb(prompt.blockHashes.at(-2) ?? 0)
    chain.absorb(prompt.blockHashes.at(-1) ?? 0)
    chain.absorb(prompt.length)
    for (let index = 0; index < requestId.length; index++) chain.absorb(requestId.charCodeAt(index))
  })
  return { slice: (from, to) => generated(from - firstPosition, to - firstPosition) }
}

/** Ids are computed when first asked for, and kept. */
function generator(chain: TokenChain, prime: () => void): (from: number, to: number) => Uint32Array {
  let ids = new Uint32Array(0)
  let count = -1
  return (from, to) => {
    if (count < 0) {
      prime()
      count = 0
    }
    if (to > ids.length) {
      const larger = new Uint32Array(Math.max(to, 2 * ids.length, 64))
      larger.set(ids)
      ids = larger
    }
    for (; count < to; count++) ids[count] = chain.next()
    return ids.slice(from, to)
  }
}
