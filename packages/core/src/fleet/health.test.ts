import { describe, expect, it } from 'vitest'
import type { LeaseOutcome } from '../lease.js'
import { fleetFixture, leaseRequest } from '../testing/fleet-fixture.js'
import { memoryEngine } from '../testing/memory-engine.js'

const probes = { intervalMs: 1_000, timeoutMs: 500, failureThreshold: 3, successThreshold: 2, jitter: 0 }
const load = { runningRequests: 2, waitingRequests: 1, kvUsage: 0.5 }

describe('probes', () => {
  it('take a worker out after failureThreshold failures and bring it back after successThreshold successes', async () => {
    const engine = memoryEngine()
    const { fleet, clock, join, told } = fleetFixture({ probes })
    const worker = await join('a', { engine })
    engine.state = 'down'
    await clock.advance(2_999)
    expect(worker.health).toBe('healthy')
    await clock.advance(1)
    expect(worker.health).toBe('unhealthy')
    engine.state = 'up'
    await clock.advance(1_000)
    expect(worker.health).toBe('unhealthy')
    await clock.advance(1_000)
    expect(worker.health).toBe('healthy')
    expect(told.slice(3)).toEqual(['a: unhealthy by probe', 'a: healthy by probe'])
    expect(fleet.candidates().panic).toBe(false)
  })

  it('count an engine that does not answer in time as failed', async () => {
    const engine = memoryEngine()
    const { clock, join } = fleetFixture({ probes })
    const worker = await join('a', { engine })
    engine.state = 'silent'
    await clock.advance(3 * 1_500)
    expect(worker.health).toBe('unhealthy')
  })

  it('never overlap, however slow the engine is', async () => {
    const engine = memoryEngine({ latencyMs: 400, load: [load] })
    const { clock, join } = fleetFixture({ probes: { ...probes, intervalMs: 100 } })
    await join('a', { engine })
    await clock.advance(20_000)
    expect(engine.calls.length).toBeGreaterThan(40)
    expect(engine.mostConcurrentCalls).toBe(1)
  })

  it('that are under way when the worker is drained are given up, and none follows', async () => {
    const engine = memoryEngine({ latencyMs: 400 })
    const { fleet, clock, join } = fleetFixture({ probes })
    const worker = await join('a', { engine })
    await clock.advance(1_100)
    const calls = engine.calls.length
    engine.state = 'down'
    await fleet.drain('a')
    await clock.advance(10_000)
    expect([engine.calls.length, worker.health, clock.pending]).toEqual([calls, 'healthy', 0])
  })

  it('spread by jitter', async () => {
    const engine = memoryEngine()
    const { clock, join } = fleetFixture({ probes: { ...probes, jitter: 0.5 } })
    await join('a', { engine })
    await clock.advance(200_000)
    const times = engine.calls.filter(({ method }) => method === 'health').map(({ at }) => at)
    const waits = times.slice(1).map((at, index) => at - (times[index] as number))
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(500)
    expect(Math.max(...waits)).toBeLessThanOrEqual(1_500)
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(500)
  })

  it('read the load; a run of failed reports is one problem and keeps health and the last report', async () => {
    const engine = memoryEngine({ load: [load] })
    const { clock, join, problems } = fleetFixture({ probes })
    const worker = await join('a', { engine })
    await clock.advance(1_000)
    expect(worker.load(0)).toEqual({ ...load, at: 1_001_000 })
    engine.reportsFail = true
    await clock.advance(5_000)
    expect(worker).toMatchObject({ health: 'healthy' })
    expect(worker.load(0)?.at).toBe(1_001_000)
    expect(problems).toHaveLength(1)
    engine.reportsFail = false
    await clock.advance(1_000)
    expect(worker.load(0)?.at).toBe(1_007_000)
  })

  it('that are switched off leave the worker unknown, which is good enough for requests', async () => {
    const { fleet, clock, join } = fleetFixture({ probes: false })
    const worker = await join('a')
    expect([worker.health, fleet.candidates().workers, clock.pending]).toEqual(['unknown', [worker], 0])
  })
})

describe('the breaker', () => {
  async function withBreaker() {
    const fixture = fleetFixture({ probes: false, breaker: { failureThreshold: 3, openMs: 5_000 } })
    const worker = await fixture.join('a')
    const request = (outcome: LeaseOutcome) => fixture.fleet.lease(worker, leaseRequest()).end(outcome)
    const fail = (count: number) => {
      for (let index = 0; index < count; index++) request('failed')
    }
    return { ...fixture, worker, request, fail }
  }

  it('opens after failureThreshold failures in a row; cancelled and aborted requests say nothing', async () => {
    const { worker, request, fail, told } = await withBreaker()
    fail(2)
    request('cancelled')
    request('aborted')
    expect(worker.health).toBe('unknown')
    fail(1)
    expect(worker.health).toBe('unhealthy')
    expect(told.at(-1)).toBe('a: unhealthy by breaker')
  })

  it('starts over when a request completes', async () => {
    const { worker, request, fail } = await withBreaker()
    fail(2)
    request('completed')
    fail(2)
    expect(worker.health).toBe('unknown')
  })

  it('lets one request try after openMs, and closes when that completes', async () => {
    const { fleet, clock, worker, fail } = await withBreaker()
    fail(3)
    await clock.advance(4_999)
    expect(worker.health).toBe('unhealthy')
    await clock.advance(1)
    expect(worker.health).toBe('unknown')
    const trial = fleet.lease(worker, leaseRequest())
    expect(worker.health).toBe('unhealthy')
    trial.end('completed')
    expect(worker.health).toBe('unknown')
    fail(2)
    expect(worker.health).toBe('unknown')
  })

  it('opens again when the trial fails, for as long as before', async () => {
    const { fleet, clock, worker, fail } = await withBreaker()
    fail(3)
    await clock.advance(5_000)
    fleet.lease(worker, leaseRequest()).end('failed')
    expect(worker.health).toBe('unhealthy')
    await clock.advance(4_999)
    expect(worker.health).toBe('unhealthy')
    await clock.advance(1)
    expect(worker.health).toBe('unknown')
  })

  it('gives the next request its turn at the first token of the trial or when its client goes away', async () => {
    const { fleet, clock, worker, fail } = await withBreaker()
    fail(3)
    await clock.advance(5_000)
    const streaming = fleet.lease(worker, leaseRequest())
    streaming.firstToken()
    expect(worker.health).toBe('unknown')
    const cancelled = fleet.lease(worker, leaseRequest())
    expect(worker.health).toBe('unhealthy')
    cancelled.end('cancelled')
    expect(worker.health).toBe('unknown')
    streaming.end('failed')
    expect(worker.health).toBe('unhealthy')
  })

  it('stays open for its full time after it was closed early and opened again', async () => {
    const { clock, worker, request, fail } = await withBreaker()
    fail(3)
    await clock.advance(3_000)
    request('completed')
    fail(3)
    await clock.advance(2_001)
    expect(worker.health).toBe('unhealthy')
    await clock.advance(2_999)
    expect(worker.health).toBe('unknown')
  })

  it('switched off does not look at outcomes', async () => {
    const { fleet, join } = fleetFixture({ probes: false, breaker: false })
    const worker = await join('a')
    for (let index = 0; index < 50; index++) fleet.lease(worker, leaseRequest()).end('failed')
    expect(worker.health).toBe('unknown')
  })
})

describe('candidates', () => {
  it('are told apart by role and model; a worker without models serves any', async () => {
    const { fleet, join } = fleetFixture()
    const any = await join('any', { models: [] })
    const llama = await join('llama', { models: ['llama', 'llama-lora'] })
    const prefill = await join('prefill', { role: 'prefill', models: ['llama'] })
    expect(fleet.candidates().workers).toEqual([any, llama, prefill])
    expect(fleet.candidates({ role: 'aggregated', model: 'llama-lora' })).toEqual({
      workers: [any, llama],
      excluded: [{ worker: prefill, reason: 'role' }],
      panic: false,
    })
    expect(fleet.candidates({ model: 'qwen' }).excluded.map(({ worker, reason }) => `${worker.id}: ${reason}`)).toEqual([
      'llama: model',
      'prefill: model',
    ])
  })

  it('include the unhealthy ones when health alone would leave nobody, and say so', async () => {
    const engines = [memoryEngine(), memoryEngine(), memoryEngine()]
    const { fleet, clock, join } = fleetFixture({ probes })
    const workers = await Promise.all(engines.map((engine, index) => join(`w${index}`, { engine })))
    fleet.cordon('w2')
    for (const engine of engines) engine.state = 'down'
    await clock.advance(3_000)
    expect(fleet.candidates()).toEqual({
      workers: workers.slice(0, 2),
      excluded: [{ worker: workers[2], reason: 'cordoned' }],
      panic: true,
    })
    expect(fleet.candidates({ role: 'decode' })).toMatchObject({ workers: [], panic: false })
    ;(engines[1] as (typeof engines)[0]).state = 'up'
    await clock.advance(2_000)
    expect(fleet.candidates()).toMatchObject({ workers: [workers[1]], panic: false })
  })
})
