import { expect, it } from 'vitest'
import { requiredTiers, summarize } from './suites-reporter.js'

const suite = (file: string, ran: number, skipReasons: string[] = [], failedToLoad = false) => ({ file, ran, skipReasons, failedToLoad })

it('counts suites that ran and names why others did not', () => {
  const outcomes = [suite('a.test.ts', 3), suite('b.test.ts', 0, ['no nats-server', 'no nats-server']), suite('c.test.ts', 0, [], true)]
  expect(summarize(outcomes)).toEqual({ lines: ['suites: 2 ran, 1 skipped', '  skipped b.test.ts: no nats-server'], skips: 1 })
})

it('does not hide a skipped test in a suite that ran', () => {
  const { lines, skips } = summarize([suite('a.test.ts', 3, ['no moto'])])
  expect(lines).toEqual(['suites: 1 ran, 0 skipped', '  skipped 1 in a.test.ts: no moto'])
  expect(skips).toBe(1)
})

it('counts an empty suite as skipped', () => {
  expect(summarize([suite('a.test.ts', 0)]).lines).toEqual(['suites: 0 ran, 1 skipped', '  skipped a.test.ts: it holds no test'])
})

it('reads the required tiers from a list', () => {
  expect(requiredTiers(undefined)).toEqual([])
  expect(requiredTiers('services, long')).toEqual(['services', 'long'])
})
