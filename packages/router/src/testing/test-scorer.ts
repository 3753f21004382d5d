import type { Scorer } from '../policy.js'
import { contextDouble } from './doubles.js'
import { edgeCandidates, edgeContexts, edgeRequests, type SuiteTools } from './suite.js'

/** What every scorer keeps to. `create` gives a fresh one; inputs are frozen, so one that changes them throws. */
export function testScorer(create: () => Scorer, { it, expect }: SuiteTools): void {
  const { name } = create()
  const everyScore = (scorer: Scorer, reversed = false): Map<string, number> => {
    const scores = new Map<string, number>()
    const candidates = reversed ? edgeCandidates().toReversed() : edgeCandidates()
    edgeContexts().forEach((context, situation) => {
      for (const request of edgeRequests()) {
        for (const candidate of candidates) {
          scores.set(`${situation}/${request.id}/${candidate.id}`, scorer.score(request, candidate, contextDouble(context)))
        }
      }
    })
    return scores
  }

  it(`scorer ${name}: has a name and wants only what a router can provide`, () => {
    const known = new Set(['kv-events', 'tokens', 'engine-load'])
    expect(name.length > 0).toBe(true)
    expect((create().wants ?? []).filter(want => !known.has(want))).toEqual([])
  })

  it(`scorer ${name}: stays within 0 and 1 and never gives NaN`, () => {
    expect([...everyScore(create())].filter(([, score]) => !(score >= 0 && score <= 1))).toEqual([])
  })

  it(`scorer ${name}: gives the same score for the same inputs, whatever it scored before`, () => {
    const scorer = create()
    const first = everyScore(scorer)
    expect(differences(first, everyScore(scorer, true))).toEqual([])
    expect(differences(first, everyScore(create(), true))).toEqual([])
  })

  it(`scorer ${name}: explains itself in finite numbers, repeatably`, () => {
    const scorer = create()
    for (const options of edgeContexts()) {
      for (const request of edgeRequests()) {
        for (const candidate of edgeCandidates()) {
          const detail = scorer.detail?.(request, candidate, contextDouble(options)) ?? {}
          expect(Object.entries(detail).filter(([, value]) => !Number.isFinite(value))).toEqual([])
          expect(scorer.detail?.(request, candidate, contextDouble(options)) ?? {}).toEqual(detail)
        }
      }
    }
  })
}

function differences(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): string[] {
  return [...a].filter(([key, score]) => !Object.is(score, b.get(key))).map(([key]) => key)
}
