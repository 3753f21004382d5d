import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** Chance as a port: everything that draws takes one of these, so that a seed repeats a run. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
}

/** The machine's own randomness; not for secrets. */
export const systemRandom: Random = { next: () => Math.random() }

/**
 * A repeatable stream. The seed is hashed, so neighbouring numbers give unrelated streams, and uses of one seed can be
 * told apart by a label: `seededRandom(`${seed}/arrivals`)` and `seededRandom(`${seed}/lengths`)` are independent.
 */
export function seededRandom(seed: number | string): Random {
  const generator = xoroshiro128plus(hashText(String(seed)))
  return { next: () => uniformFloat64(generator) }
}

/** An integer in [0, bound). */
export function nextInteger(random: Random, bound: number): number {
  return Math.floor(random.next() * bound)
}

function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  // FNV-1a leaves neighbouring texts close together; the finaliser of MurmurHash3 spreads them.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
