import { describe, expect, it } from 'vitest'
import { maxInFlight } from '../filters/max-in-flight.js'
import { inTurn } from '../pickers/in-turn.js'
import type { Scorer } from '../policy.js'
import { composePolicy } from './compose-policy.js'

const scorer = (name: string): Scorer => ({ name, score: () => 1 })
const fails = (parts: object, text: string) => {
  expect(() => composePolicy({ name: 'x', ...parts } as never)).toThrow(text)
}

describe('composing a policy', () => {
  it('takes scorers as pairs or as objects and fills in the rest', () => {
    const [a, b] = [scorer('a'), scorer('b')]
    expect(composePolicy({ name: 'x', scorers: [[a, 2], { scorer: b, weight: 0.5 }] })).toMatchObject({
      name: 'x',
      filters: [],
      scorers: [
        { scorer: a, weight: 2 },
        { scorer: b, weight: 0.5 },
      ],
      picker: { name: 'max-score' },
    })
  })

  it('accepts class instances as parts', () => {
    class Constant implements Scorer {
      readonly name = 'constant'
      private readonly value = 0.5
      score() {
        return this.value
      }
    }
    const policy = composePolicy({ name: 'x', scorers: [[new Constant(), 1]], filters: [maxInFlight({ requests: 1 })], picker: inTurn() })
    expect(policy.scorers[0]?.scorer.score(undefined as never, undefined as never, undefined as never)).toBe(0.5)
  })

  it('says what does not fit', () => {
    fails({ name: '' }, 'name')
    fails({ scorer: [] }, 'did you mean "scorers"?')
    fails({ scorers: [[scorer('a'), 0]] }, 'scorers.0.weight: expected a positive weight')
    fails({ scorers: [[scorer('a'), Number.POSITIVE_INFINITY]] }, 'finite')
    fails({ scorers: [[scorer('a')]] }, 'scorers.0.weight')
    fails(
      {
        scorers: [
          [scorer('a'), 1],
          [scorer('a'), 2],
        ],
      },
      'expected different names',
    )
    fails({ scorers: [scorer('a')] }, 'scorers.0')
    fails({ scorers: [[{ name: 'a' }, 1]] }, 'expected a scorer with a function "score"')
    fails({ scorers: [[{ ...scorer('a'), wants: ['luck'] }, 1]] }, 'wants')
    fails({ filters: [{ name: 'a' }] }, 'expected a filter with a function "exclude"')
    fails({ picker: { name: 'a' } }, 'expected a picker with a function "pick"')
  })
})
