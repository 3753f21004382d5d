import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { KvStreamItem } from '../kv-events/kv-event.js'
import { fleetFixture, outcomeOf, workerSpec } from '../testing/fleet-fixture.js'
import { scriptedKvSource } from '../testing/fleet-kv-source.js'
import { memoryEngine } from '../testing/memory-engine.js'
import { createVirtualClock } from '../virtual-time.js'
import type { WorkerSpec } from '../worker.js'
import { createFleet } from './create-fleet.js'

const load = { runningRequests: 2, waitingRequests: 1, kvUsage: 0.5 }

describe('a join', () => {
  it('waits until the engine answers, then asks what it is and how loaded it is', async () => {
    const { fleet, clock, told } = fleetFixture()
    const engine = memoryEngine({
      state: 'down',
      load: [load, load],
      description: { models: ['m', 'm-lora'], blockSize: 32, dataParallelRanks: 2, capacity: { kvBlocks: 1000, maxRunningRequests: 64 } },
    })
    const adding = fleet.add({ ...workerSpec('a'), engine })
    await clock.advance(1_100)
    expect(await outcomeOf(adding)).toBe('pending')
    expect(fleet.get('a')).toMatchObject({ phase: 'joining', readyAt: 0 })
    expect(fleet.candidates().excluded.map(({ reason }) => reason)).toEqual(['joining'])
    engine.state = 'up'
    const worker = await clock.runUntil(adding)
    expect(worker).toBe(fleet.get('a'))
    expect(worker).toMatchObject({
      phase: 'active',
      health: 'healthy',
      readyAt: 1_001_250,
      models: ['m', 'm-lora'],
      blockSize: 32,
      dataParallelRanks: 2,
    })
    expect(worker.capacity).toEqual({ kvBlocks: 1000, maxRunningRequests: 64 })
    expect(worker.load(1)).toEqual({ ...load, at: 1_001_250 })
    expect(told).toEqual(['a: new > joining', 'a: healthy by probe', 'a: joining > active'])
  })

  it('lets the spec win over what the engine says', async () => {
    const engine = memoryEngine({
      description: { models: ['x'], blockSize: 32, dataParallelRanks: 2, capacity: { kvBlocks: 1, maxRunningRequests: 2 } },
    })
    const worker = await fleetFixture().join('a', { engine, models: [], blockSize: 8, dataParallelRanks: 1, capacity: { kvBlocks: 9 } })
    expect(worker).toMatchObject({ models: [], blockSize: 8, dataParallelRanks: 1, capacity: { kvBlocks: 9, maxRunningRequests: 2 } })
  })

  it('goes on with defaults when the engine cannot describe itself, and says so', async () => {
    const { join, problems } = fleetFixture()
    const engine = memoryEngine({ load: [load] })
    engine.reportsFail = true
    const worker = await join('a', { engine })
    expect(worker).toMatchObject({ phase: 'active', models: [], blockSize: 16, dataParallelRanks: 1 })
    expect(worker.load(0)).toBeUndefined()
    expect(problems).toHaveLength(2)
  })

  it('does not believe an engine that describes half a rank', async () => {
    const { join, problems } = fleetFixture()
    const worker = await join('a', { engine: memoryEngine({ description: { dataParallelRanks: 0.5, blockSize: Number.NaN } }) })
    expect(worker).toMatchObject({ dataParallelRanks: 1, blockSize: 16 })
    expect(problems).toEqual([expect.objectContaining({ code: 'ENGINE_RESPONSE' }), expect.objectContaining({ code: 'ENGINE_RESPONSE' })])
  })

  it.each(['down', 'silent'] as const)('with an engine that is %s ends at joinTimeoutMs and leaves nothing', async state => {
    const { fleet, clock, told } = fleetFixture({ joinTimeoutMs: 12_000 })
    const engine = memoryEngine({ state })
    await expect(clock.runUntil(fleet.add({ ...workerSpec('a'), engine }))).rejects.toMatchObject({
      code: 'WORKER_JOIN_TIMEOUT',
      details: { workerId: 'a', joinTimeoutMs: 12_000, step: 'health' },
      cause: { code: 'ENGINE_UNREACHABLE' },
    })
    expect(clock.now()).toBe(1_012_000)
    expect([fleet.get('a'), fleet.list().length, clock.pending]).toEqual([undefined, 0, 0])
    expect(told).toEqual(['a: new > joining', 'a: joining > removed'])
    engine.state = 'up'
    await expect(clock.runUntil(fleet.add({ ...workerSpec('a'), engine }))).resolves.toMatchObject({ incarnation: 2 })
  })

  it('ends with ABORTED when its caller aborts, at once and without a trace', async () => {
    const { fleet, clock } = fleetFixture()
    const controller = new AbortController()
    const adding = fleet.add({ ...workerSpec('a'), engine: memoryEngine({ state: 'silent' }) }, { signal: controller.signal })
    await clock.advance(10)
    controller.abort(new Error('changed my mind'))
    await expect(adding).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'changed my mind' } })
    expect([fleet.list().length, clock.pending]).toEqual([0, 0])
    await expect(fleet.add(workerSpec('b'), { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(fleet.get('b')).toBeUndefined()
  })

  it('that is cancelled while the engine describes itself is no problem to report', async () => {
    const { fleet, clock, problems } = fleetFixture()
    const rejected = expect(fleet.add({ ...workerSpec('a'), engine: memoryEngine({ latencyMs: 400 }) })).rejects.toMatchObject({
      code: 'WORKER_REMOVED',
    })
    await clock.advance(600)
    await fleet.remove('a')
    await rejected
    expect([problems, clock.pending]).toEqual([[], 0])
  })

  it('of an id that is in the fleet rejects with WORKER_EXISTS, even while the first is joining', async () => {
    const { fleet, clock, join } = fleetFixture()
    const adding = fleet.add(workerSpec('a'))
    await expect(fleet.add(workerSpec('a'))).rejects.toMatchObject({ code: 'WORKER_EXISTS', details: { workerId: 'a', phase: 'joining' } })
    await clock.runUntil(adding)
    await expect(join('a')).rejects.toMatchObject({ code: 'WORKER_EXISTS' })
  })

  it('of an id whose worker is drained removes the old one and gives a new incarnation', async () => {
    const { fleet, clock, join, told } = fleetFixture({ probes: false })
    const before = await join('a')
    await clock.runUntil(fleet.drain('a'))
    const after = await join('a')
    expect([before.phase, after.phase, before.incarnation, after.incarnation]).toEqual(['removed', 'active', 1, 2])
    expect(fleet.list()).toEqual([after])
    expect(told.slice(3)).toEqual(['a: draining > drained', 'a: drained > removed', 'a: new > joining', 'a: joining > active'])
  })

  it('can be cordoned on its way, and is then active without taking requests', async () => {
    const { fleet, clock } = fleetFixture()
    const adding = fleet.add(workerSpec('a'))
    fleet.cordon('a')
    await clock.runUntil(adding)
    expect(fleet.candidates().excluded.map(({ reason }) => reason)).toEqual(['cordoned'])
    fleet.uncordon('a')
    expect(fleet.candidates().workers).toHaveLength(1)
  })

  it.each(['remove', 'close'] as const)('is cancelled by %s from a listener of health', async call => {
    const { fleet, clock, told } = fleetFixture()
    let ended: Promise<unknown> | undefined
    fleet.on('health', ({ worker }) => {
      ended = call === 'remove' ? fleet.remove(worker.id) : fleet.close()
    })
    await expect(clock.runUntil(fleet.add(workerSpec('a')))).rejects.toMatchObject({
      code: call === 'remove' ? 'WORKER_REMOVED' : 'CLOSED',
    })
    await ended
    expect(told).toEqual(['a: new > joining', 'a: healthy by probe', 'a: joining > removed'])
    expect([fleet.list().length, clock.pending]).toEqual([0, 0])
  })

  it.each(['drain', 'remove'] as const)('is cancelled by %s: add rejects with WORKER_REMOVED, the call resolves', async call => {
    const { fleet, clock } = fleetFixture()
    const adding = fleet.add({ ...workerSpec('a'), engine: memoryEngine({ state: 'down' }) })
    const rejected = expect(adding).rejects.toMatchObject({ code: 'WORKER_REMOVED' })
    await clock.advance(600)
    await expect(fleet[call]('a')).resolves.toMatchObject({ workerId: 'a', waitedMs: 0, finished: 0, aborted: 0 })
    await rejected
    expect([fleet.list().length, clock.pending]).toEqual([0, 0])
  })
})

describe('at the end of a join', () => {
  it('a removal is either in time or comes after it, whatever the moment', async () => {
    const results = new Set<string>()
    for (let turns = 0; turns < 40; turns++) {
      const { fleet, clock } = fleetFixture({ hooks: { beforeReady: () => {} } })
      const added = fleet.add(workerSpec('a')).then(
        () => 'joined',
        error => error.code as string,
      )
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      await fleet.remove('a')
      results.add(await added)
      await clock.advance(0)
      expect([fleet.list(), clock.pending]).toEqual([[], 0])
    }
    expect([...results]).toEqual(['WORKER_REMOVED', 'joined'])
  })

  it('a removal under way does not touch the worker that was added in its place', async () => {
    const { fleet, clock, join } = fleetFixture()
    await join('a')
    await fleet.drain('a')
    const removing = fleet.remove('a')
    const added = await clock.runUntil(fleet.add(workerSpec('a')))
    await removing
    expect(fleet.get('a')).toBe(added)
    expect(added).toMatchObject({ phase: 'active', incarnation: 2 })
  })

  it('nothing listens to the signals of the caller and of the worker any more', async () => {
    const { fleet, clock } = fleetFixture({ hooks: { beforeReady: () => {} } })
    const { signal } = new AbortController()
    const worker = await clock.runUntil(fleet.add(workerSpec('a'), { signal }))
    await clock.advance(60_000)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(getEventListeners(fleet.connection(worker).signal, 'abort')).toEqual([])
  })
})

describe('KV events', () => {
  it('are forwarded from the join on, and end with a reset when the worker is drained', async () => {
    const kvEvents = scriptedKvSource()
    const { fleet, clock, join, told } = fleetFixture({ kvEvents, probes: false })
    expect(fleet.kvEvents).toBe('scripted')
    const worker = await join('a')
    kvEvents.send(worker, { type: 'reset', reason: 'joined' })
    kvEvents.send(worker, { type: 'batch', sequence: 0 })
    await clock.runUntil(fleet.drain('a'))
    kvEvents.send(worker, { type: 'batch', sequence: 1 })
    expect(kvEvents.openCount).toBe(0)
    expect(told.filter(line => !line.includes('>'))).toEqual(['a#1/0: reset joined', 'a#1/0: batch 0', 'a#1/0: reset closed'])
    expect(told.at(-1)).toBe('a: draining > drained')
  })

  it('reset every rank once, and not those that the source has closed itself', async () => {
    const kvEvents = scriptedKvSource()
    const { fleet, clock, join, told } = fleetFixture({ kvEvents, probes: false })
    const worker = await join('a', { dataParallelRanks: 3 })
    kvEvents.send(worker, { type: 'reset', reason: 'closed' })
    await clock.runUntil(fleet.remove('a', { force: true }))
    expect(told.filter(line => line.includes('reset'))).toEqual(['a#1/0: reset closed', 'a#1/1: reset closed', 'a#1/2: reset closed'])
  })

  it("opens a worker's events when somebody listens, and anew for each later listener", async () => {
    const kvEvents = scriptedKvSource()
    const clock = createVirtualClock()
    const fleet = createFleet({ clock, kvEvents, probes: false })
    const worker = await clock.runUntil(fleet.add({ id: 'a', url: 'http://a', engine: memoryEngine() }))
    expect(kvEvents.openCount).toBe(0)

    const first: string[] = []
    const second: string[] = []
    const tell = (log: string[]) => (item: KvStreamItem) => log.push(item.type === 'batch' ? `batch ${item.sequence}` : item.reason)
    fleet.on('kv', tell(first))
    await clock.advance(0)
    expect(kvEvents.openCount).toBe(1)
    kvEvents.send(worker, { type: 'batch', sequence: 0 })
    fleet.on('kv', tell(second))
    await clock.advance(0)
    expect(kvEvents.openCount).toBe(1)
    kvEvents.send(worker, { type: 'batch', sequence: 0 })
    expect(first).toEqual(['batch 0', 'closed', 'batch 0'])
    expect(second).toEqual(['closed', 'batch 0'])
    await clock.runUntil(fleet.close())
    expect(kvEvents.openCount).toBe(0)
  })

  it('keeps events flowing for readers only, and until the last one leaves', async () => {
    const kvEvents = scriptedKvSource()
    const clock = createVirtualClock()
    const fleet = createFleet({ clock, kvEvents, probes: false })
    const worker = await clock.runUntil(fleet.add({ id: 'a', url: 'http://a', engine: memoryEngine() }))
    const overheard: string[] = []
    fleet.on('kv', item => overheard.push(item.type === 'batch' ? 'batch' : item.reason), { passive: true })
    await clock.advance(0)
    expect(kvEvents.openCount).toBe(0)

    const leave = [fleet.on('kv', () => {}), fleet.on('kv', () => {})]
    await clock.advance(0)
    kvEvents.send(worker, { type: 'batch', sequence: 0 })
    leave[0]?.()
    leave[0]?.()
    await clock.advance(0)
    expect(kvEvents.openCount).toBe(1)
    fleet.on('kv', () => {}, { passive: true })
    await clock.advance(0)
    expect(overheard).toEqual(['batch'])
    leave[1]?.()
    await clock.advance(0)
    expect([kvEvents.openCount, overheard]).toEqual([0, ['batch', 'closed']])
    await clock.runUntil(fleet.close())
  })

  it('are a problem, not a failed join, when the source cannot open or close', async () => {
    const openFails = new Error('no such endpoint')
    const failing = fleetFixture({ kvEvents: scriptedKvSource({ openFails }) })
    expect((await failing.join('a')).phase).toBe('active')
    expect(failing.problems).toEqual([openFails])

    const closeFails = new Error('socket is gone')
    const { fleet, clock, join, problems } = fleetFixture({ kvEvents: scriptedKvSource({ closeFails }) })
    await join('a')
    await clock.runUntil(fleet.remove('a'))
    expect(problems).toEqual([closeFails])
  })

  it('that start after the join was given up are closed', async () => {
    const kvEvents = scriptedKvSource({ openMs: 5_000 })
    const { fleet, clock } = fleetFixture({ kvEvents, joinTimeoutMs: 1_000 })
    await expect(clock.runUntil(fleet.add(workerSpec('a')))).rejects.toMatchObject({
      code: 'WORKER_JOIN_TIMEOUT',
      details: { step: 'kv-events' },
    })
    await clock.advance(10_000)
    expect(kvEvents.openCount).toBe(0)
  })

  it('report what goes wrong as problems of their worker', async () => {
    const kvEvents = scriptedKvSource()
    const { fleet, join } = fleetFixture({ kvEvents })
    const worker = await join('a')
    const seen: unknown[] = []
    fleet.on('problem', problem => seen.push(problem))
    const error = new Error('frame of 3 bytes')
    kvEvents.complain(worker, error)
    expect(seen).toEqual([{ worker, error }])
  })
})

describe('the beforeReady hook', () => {
  const spec: WorkerSpec = workerSpec('a')

  it('runs while the worker is reachable and not yet active', async () => {
    const phases: string[] = []
    const { join } = fleetFixture({ hooks: { beforeReady: worker => void phases.push(worker.phase) } })
    await join('a')
    expect(phases).toEqual(['joining'])
  })

  it('fails the join when it throws', async () => {
    const kvEvents = scriptedKvSource()
    const hooks = {
      beforeReady: () => {
        throw new Error('warm-up refused')
      },
    }
    const { fleet, clock } = fleetFixture({ hooks, kvEvents })
    await expect(clock.runUntil(fleet.add(spec))).rejects.toMatchObject({
      code: 'WORKER_HOOK_FAILED',
      message: 'worker "a": beforeReady failed: warm-up refused',
      details: { workerId: 'a', hook: 'beforeReady' },
    })
    expect([fleet.list().length, kvEvents.openCount, clock.pending]).toEqual([0, 0, 0])
  })

  it('fails the join when it passes its deadline, even if it does not look at its signal', async () => {
    const signals: AbortSignal[] = []
    const hooks = {
      beforeReady: (_worker: unknown, { signal }: { signal: AbortSignal }) => {
        signals.push(signal)
        return new Promise<void>(() => {})
      },
    }
    const { fleet, clock } = fleetFixture({ hooks, hookTimeoutMs: 3_000 })
    await expect(clock.runUntil(fleet.add(spec))).rejects.toMatchObject({
      code: 'WORKER_HOOK_FAILED',
      message: expect.stringContaining('3000 ms'),
    })
    expect(clock.now()).toBe(1_003_000)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })

  it('is aborted when the worker is removed', async () => {
    const signals: AbortSignal[] = []
    const hooks = {
      beforeReady: (_worker: unknown, { signal }: { signal: AbortSignal }) => {
        signals.push(signal)
        return new Promise<void>(() => {})
      },
    }
    const { fleet, clock } = fleetFixture({ hooks })
    const rejected = expect(fleet.add(spec)).rejects.toMatchObject({ code: 'WORKER_REMOVED' })
    await clock.advance(1)
    await fleet.remove('a')
    await rejected
    expect(signals[0]?.reason).toMatchObject({ code: 'WORKER_REMOVED' })
  })
})
