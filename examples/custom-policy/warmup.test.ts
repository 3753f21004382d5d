import { composePolicy } from '@kvfleet/router'
import { simulateRouter, testScorer } from '@kvfleet/router/testing'
import { expect, it } from 'vitest'
import { warmup } from './warmup.js'

testScorer(() => warmup(), { it, expect })
it('sends nothing to a cold worker, then evens out', async () => {
  const { addWorker, clock, send } = simulateRouter({ policy: composePolicy({ name: 'warm', scorers: [[warmup(), 1]] }) })
  await addWorker('old')
  clock.advanceSync(60_000)
  await addWorker('new')
  expect(send(10)).toEqual(new Map([['old', 10]]))
  clock.advanceSync(30_000)
  expect(send(10)).toEqual(new Map([['new', 10]]))
})
