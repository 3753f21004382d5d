import type { Picker, ScoredCandidate } from '../policy.js'

/** Highest total; among equals the one with the fewest requests in flight; among those one at random. */
export function maxScore(): Picker {
  return {
    name: 'max-score',
    pick(scored, { random }) {
      let best: ScoredCandidate[] = []
      let bestTotal = Number.NEGATIVE_INFINITY
      let bestRequests = Number.POSITIVE_INFINITY
      for (const entry of scored) {
        if (entry.total < bestTotal) continue
        const { requests } = entry.candidate.inFlight
        if (entry.total > bestTotal || requests < bestRequests) {
          best = [entry]
          bestTotal = entry.total
          bestRequests = requests
        } else if (requests === bestRequests) {
          best.push(entry)
        }
      }
      const index = best.length === 1 ? 0 : Math.floor(random.next() * best.length)
      return best[index] as ScoredCandidate
    },
  }
}
