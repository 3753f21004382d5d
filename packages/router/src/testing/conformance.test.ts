import { describe, expect, it } from 'vitest'
import {
  atRandom,
  betterOfTwo,
  expectedCost,
  type Filter,
  inTurn,
  kvAware,
  leastLoaded,
  maxInFlight,
  maxScore,
  type Picker,
  powerOfTwo,
  random,
  requestLoad,
  roundRobin,
  type Scorer,
} from '../index.js'
import { testFilter, testPicker, testPolicy, testScorer } from './index.js'

describe('the built-in strategies', () => {
  for (const policy of [roundRobin, random, leastLoaded, powerOfTwo, kvAware, () => kvAware({ decodeWeight: 0, costScaleMs: 10 })]) {
    testPolicy(policy, { it, expect })
  }
  for (const picker of [maxScore, inTurn, atRandom, betterOfTwo]) testPicker(picker, { it, expect })
  for (const scorer of [requestLoad, expectedCost]) testScorer(scorer, { it, expect })
  testFilter(() => maxInFlight({ requests: 4 }), { it, expect })
})

/** Names of the cases that a suite fails for this part. */
async function failures(suite: (tools: { it: (name: string, run: () => void | Promise<void>) => void; expect: typeof expect }) => void) {
  const cases: { name: string; run: () => void | Promise<void> }[] = []
  suite({ it: (name, run) => cases.push({ name, run }), expect })
  const failed: string[] = []
  for (const { name, run } of cases) {
    try {
      await run()
    } catch {
      failed.push(name.replace(/^\w+ [\w-]*: /, ''))
    }
  }
  return failed
}

describe('the conformance suites', () => {
  const scorer = (score: Scorer['score'], rest: Partial<Scorer> = {}): Scorer => ({ name: 'x', score, ...rest })
  const remembering = (): Scorer => {
    let calls = 0
    return scorer(() => (calls++ % 10) / 10)
  }
  const WITHIN = 'stays within 0 and 1 and never gives NaN'
  const SAME_SCORE = 'gives the same score for the same inputs, whatever it scored before'

  it.each([
    ['above 1', () => scorer((_request, { inFlight }) => inFlight.requests), [WITHIN]],
    ['NaN', () => scorer((_request, { load }) => (load?.kvUsage ?? 0) / (load?.kvUsage ?? 0)), [WITHIN]],
    ['memory', remembering, [SAME_SCORE]],
    ['an unknown want', () => scorer(() => 1, { wants: ['magic'] as never }), ['has a name and wants only what a router can provide']],
    ['an endless detail', () => scorer(() => 1, { detail: () => ({ x: 1 / 0 }) }), ['explains itself in finite numbers, repeatably']],
    [
      'a changed input',
      () =>
        scorer((request, { inFlight }) => {
          Object.assign(inFlight, { requests: request.promptTokens })
          return 1
        }),
      [WITHIN, SAME_SCORE],
    ],
    ['nothing wrong', () => scorer(() => 0.5), []],
  ])('catch a scorer with %s', async (_what, create, expected) => {
    expect(await failures(tools => testScorer(create, tools))).toEqual(expected)
  })

  it.each<[string, () => Picker, string[]]>([
    [
      'a stranger',
      () => ({ name: 'x', pick: ([first]) => ({ ...(first as never as object) }) as never }),
      ['returns one of the candidates it was given'],
    ],
    [
      'memory',
      () => {
        let turn = 0
        return { name: 'x', pick: scored => scored[turn++ % scored.length] as never }
      },
      ['picks the same for the same candidates, chance and sequence'],
    ],
    [
      'a sort in place',
      () => ({ name: 'x', pick: scored => (scored as never as unknown[]).sort()[0] as never }),
      ['returns one of the candidates it was given', 'picks the same for the same candidates, chance and sequence'],
    ],
  ])('catch a picker with %s', async (_what, create, expected) => {
    expect(await failures(tools => testPicker(create, tools))).toEqual(expected)
  })

  it.each<[string, () => Filter, string[]]>([
    ['an empty reason', () => ({ name: 'x', exclude: () => '' }), ['keeps a candidate with undefined or says in words why it is out']],
    [
      'memory',
      () => {
        let calls = 0
        return { name: 'x', exclude: () => (calls++ === 3 ? 'third' : undefined) }
      },
      ['answers the same for the same inputs, whatever it was asked before'],
    ],
  ])('catch a filter with %s', async (_what, create, expected) => {
    expect(await failures(tools => testFilter(create, tools))).toEqual(expected)
  })

  it('catch a policy that refuses an idle worker', async () => {
    const picky = () => ({ ...roundRobin(), filters: [{ name: 'none', exclude: () => 'never' }] })
    expect(await failures(tools => testPolicy(picky, tools))).toContain('serves every kind of request on a single idle worker')
  })
})
