import { describe, expect, it } from 'vitest'
import { candidateDouble, contextDouble } from '../testing/index.js'
import { maxScore } from './max-score.js'

const scored = (...entries: readonly [id: string, total: number, requests: number][]) =>
  entries.map(([id, total, requests]) => ({ candidate: candidateDouble({ id, inFlight: { requests } }), total, scores: {} }))
const picks = (entries: ReturnType<typeof scored>) =>
  new Set(Array.from({ length: 50 }, (_, seed) => maxScore().pick(entries, contextDouble({ seed })).candidate.id))

describe('the max-score picker', () => {
  it('takes the highest total, however busy', () => {
    expect(picks(scored(['a', 0.2, 0], ['b', 0.9, 50], ['c', 0.9 - 1e-12, 0]))).toEqual(new Set(['b']))
  })

  it('takes the fewest requests among equals', () => {
    expect(picks(scored(['a', 1, 3], ['b', 1, 1], ['c', 0.5, 0], ['d', 1, 2]))).toEqual(new Set(['b']))
  })

  it('draws among those that are equal in both', () => {
    expect(picks(scored(['a', 1, 1], ['b', 1, 2], ['c', 1, 1], ['d', 1, 1]))).toEqual(new Set(['a', 'c', 'd']))
  })
})
