import { nextInteger } from '@kvfleet/core'
import type { Picker, ScoredCandidate } from '../policy.js'

/** Draws two different candidates and takes the one with the higher total, the first drawn when they are equal. */
export function betterOfTwo(): Picker {
  return {
    name: 'better-of-two',
    pick(scored, { random }) {
      const first = nextInteger(random, scored.length)
      if (scored.length === 1) return scored[first] as ScoredCandidate
      // Drawn from the others, so that the two always differ.
      const other = nextInteger(random, scored.length - 1)
      const a = scored[first] as ScoredCandidate
      const b = scored[other < first ? other : other + 1] as ScoredCandidate
      return b.total > a.total ? b : a
    },
  }
}
