import type { Picker, ScoredCandidate } from '../policy.js'

/** The candidates one after the other: the decision's number modulo how many there are. Looks at no score. */
export function inTurn(): Picker {
  return {
    name: 'in-turn',
    pick: (scored, { sequence }) => scored[sequence % scored.length] as ScoredCandidate,
  }
}
