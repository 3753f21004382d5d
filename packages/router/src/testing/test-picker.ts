import type { Picker, ScoredCandidate } from '../policy.js'
import { candidateDouble, contextDouble } from './doubles.js'
import type { SuiteTools } from './suite.js'

/** What every picker keeps to. `create` gives a fresh one; inputs are frozen, so one that changes them throws. */
export function testPicker(create: () => Picker, { it, expect }: SuiteTools): void {
  const { name } = create()
  /** From one candidate to many, totals from all equal to far apart. */
  const cases: readonly (readonly ScoredCandidate[])[] = [
    [0],
    [0, 0],
    [1, 0],
    [0, 1],
    [0.5, 0.5, 0.5],
    [1e-9, 2e-9, 0],
    many(0.25),
    many(0),
  ].map(totals =>
    Object.freeze(
      totals.map((total, at) =>
        Object.freeze({ candidate: candidateDouble({ id: `w${at}`, inFlight: { requests: at % 3 } }), total, scores: { test: total } }),
      ),
    ),
  )
  const every = (picker: Picker): number[] =>
    cases.flatMap(scored => [0, 1, 2, 3].map(turn => scored.indexOf(picker.pick(scored, contextDouble({ seed: turn, sequence: turn })))))

  it(`picker ${name}: has a name`, () => {
    expect(name.length > 0).toBe(true)
  })

  it(`picker ${name}: returns one of the candidates it was given`, () => {
    expect(every(create()).filter(index => index < 0)).toEqual([])
  })

  it(`picker ${name}: picks the same for the same candidates, chance and sequence`, () => {
    const picker = create()
    const first = every(picker)
    expect(every(picker)).toEqual(first)
    expect(every(create())).toEqual(first)
  })
}

function many(step: number): number[] {
  return Array.from({ length: 200 }, (_, at) => (at * step) % 1)
}
