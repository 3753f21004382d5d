import { nextInteger } from '@kvfleet/core'
import type { Picker, ScoredCandidate } from '../policy.js'

/** Any candidate, all equally likely. Looks at no score. */
export function atRandom(): Picker {
  return {
    name: 'at-random',
    pick: (scored, { random }) => scored[nextInteger(random, scored.length)] as ScoredCandidate,
  }
}
