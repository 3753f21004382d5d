import type { Filter } from '../policy.js'
import { contextDouble } from './doubles.js'
import { edgeCandidates, edgeContexts, edgeRequests, type SuiteTools } from './suite.js'

/** What every filter keeps to. `create` gives a fresh one; inputs are frozen, so one that changes them throws. */
export function testFilter(create: () => Filter, { it, expect }: SuiteTools): void {
  const { name } = create()
  const everyAnswer = (filter: Filter, reversed = false): Record<string, string | undefined> => {
    const answers: Record<string, string | undefined> = {}
    const candidates = reversed ? edgeCandidates().toReversed() : edgeCandidates()
    edgeContexts().forEach((context, situation) => {
      for (const request of edgeRequests()) {
        for (const candidate of candidates) {
          answers[`${situation}/${request.id}/${candidate.id}`] = filter.exclude(request, candidate, contextDouble(context))
        }
      }
    })
    return answers
  }

  it(`filter ${name}: has a name`, () => {
    expect(name.length > 0).toBe(true)
  })

  it(`filter ${name}: keeps a candidate with undefined or says in words why it is out`, () => {
    const unfit = Object.entries(everyAnswer(create())).filter(
      ([, answer]) => answer !== undefined && (typeof answer !== 'string' || answer === ''),
    )
    expect(unfit).toEqual([])
  })

  it(`filter ${name}: answers the same for the same inputs, whatever it was asked before`, () => {
    const filter = create()
    const first = everyAnswer(filter)
    expect(everyAnswer(filter, true)).toEqual(first)
    expect(everyAnswer(create(), true)).toEqual(first)
  })
}
