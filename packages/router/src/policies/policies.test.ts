import { standInProfile, type Worker } from '@kvfleet/core'
import { describe, expect, it } from 'vitest'
import type { Policy } from '../policy.js'
import { type RoutingRequest, routingRequest } from '../routing-request.js'
import { simulateRouter } from '../testing/index.js'
import { holds } from '../testing/kv-items.js'
import { kvAware } from './kv-aware.js'
import { leastLoaded } from './least-loaded.js'
import { powerOfTwo } from './power-of-two.js'
import { random } from './random.js'
import { roundRobin } from './round-robin.js'

async function simulation(policy: Policy, workers: readonly string[] = ['a', 'b', 'c', 'd']) {
  const simulated = simulateRouter({ policy })
  for (const id of workers) await simulated.addWorker(id)
  return simulated
}

const prompt = Uint32Array.from({ length: 16_000 }, (_, at) => at)

describe('round robin', () => {
  it('takes the workers in turn, whatever they have in flight', async () => {
    const { router, fleet } = await simulation(roundRobin())
    fleet.lease(fleet.get('a') as Worker, { kind: 'aggregated', requestId: 'x', promptTokens: 1e6 })
    const picked = Array.from({ length: 8 }, (_, at) => router.decide(routingRequest({ id: `r${at}` })).worker.id)
    expect(picked).toEqual(['a', 'b', 'c', 'd', 'a', 'b', 'c', 'd'])
  })
})

describe('random', () => {
  it('spreads evenly in the long run', async () => {
    const { send } = await simulation(random())
    for (const count of send(4000).values()) expect(Math.abs(count - 1000)).toBeLessThan(120)
  })
})

describe('least loaded', () => {
  it('fills the emptiest first and keeps them level', async () => {
    const { send, fleet } = await simulation(leastLoaded())
    for (let at = 0; at < 3; at++) fleet.lease(fleet.get('a') as Worker, { kind: 'aggregated', requestId: `x${at}`, promptTokens: 1 })
    expect(Object.fromEntries(send(9))).toEqual({ b: 3, c: 3, d: 3 })
  })

  it('weighs requests by what a worker can run at once', async () => {
    const { send, addWorker } = await simulation(leastLoaded(), [])
    await addWorker('small', { capacity: { maxRunningRequests: 8 } })
    await addWorker('large', { capacity: { maxRunningRequests: 24 } })
    expect(Object.fromEntries(send(32))).toEqual({ small: 8, large: 24 })
  })
})

describe('power of two', () => {
  it('never takes the worst of all and stays far more level than chance', async () => {
    const { send, fleet } = await simulation(powerOfTwo())
    for (let at = 0; at < 500; at++) fleet.lease(fleet.get('a') as Worker, { kind: 'aggregated', requestId: `x${at}`, promptTokens: 1 })
    const counts = send(1200)
    expect(counts.get('a')).toBeUndefined()
    expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThan(12)
  })
})

describe('kv-aware', () => {
  const request: Partial<RoutingRequest> = { tokens: prompt, maxOutputTokens: 100 }

  it('goes where the prefix is', async () => {
    const { send, emit, fleet, endAll } = await simulation(kvAware())
    emit(holds(fleet.get('c') as Worker, prompt))
    for (let at = 0; at < 5; at++) {
      expect([...send(1, request).keys()]).toEqual(['c'])
      endAll()
    }
  })

  it('leaves the prefix when waiting for it costs more than computing it again', async () => {
    const { send, emit, fleet } = await simulation(kvAware())
    const holder = fleet.get('c') as Worker
    emit(holds(holder, prompt))
    fleet.lease(holder, { kind: 'aggregated', requestId: 'long', promptTokens: 60_000 })
    expect(send(1, request).has('c')).toBe(false)
  })

  it('makes no hot spot of a prefix that everybody shares: a burst spreads as far as that is cheaper', async () => {
    const { send, emit, fleet } = await simulation(kvAware())
    const head = prompt.subarray(0, 4000)
    emit(holds(fleet.get('a') as Worker, head))
    const counts = send(40, request)
    expect(counts.size).toBe(4)
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(14)
    expect(counts.get('a')).toBeGreaterThan(10)
  })

  it('sends no herd to the one that looks best: equal requests at one instant spread evenly', async () => {
    const { send } = await simulation(kvAware())
    expect(Object.fromEntries(send(40, request))).toEqual({ a: 10, b: 10, c: 10, d: 10 })
  })

  it('counts decoding requests, but less than waiting prefills', async () => {
    const { send, fleet } = await simulation(kvAware(), ['decoding', 'prefilling', 'idle'])
    const lease = (id: string) => fleet.lease(fleet.get(id) as Worker, { kind: 'aggregated', requestId: id, promptTokens: 8000 })
    lease('decoding').firstToken()
    lease('prefilling')
    expect([...send(2, { promptTokens: 100 }).keys()]).toEqual(['idle', 'decoding'])
  })

  it('prefers the faster worker by its profile', async () => {
    const { send, addWorker } = await simulation(kvAware(), ['slow'])
    await addWorker('fast', { profile: { ...standInProfile, prefillMsPerToken: standInProfile.prefillMsPerToken / 3 } })
    const counts = send(40, { promptTokens: 8000 })
    expect(counts.get('fast')).toBeGreaterThanOrEqual(2 * (counts.get('slow') as number))
  })

  it('refuses options that make no sense, naming them', () => {
    expect(() => kvAware({ decodeWeight: -1 })).toThrow('decodeWeight: expected 0 or more')
    expect(() => kvAware({ costScaleMs: 0 })).toThrow('costScaleMs')
    expect(() => kvAware({ weight: 1 } as never)).toThrow('unknown option "weight"')
  })
})
