import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { Lease } from '../lease.js'
import { subscribe } from '../telemetry.js'
import { fleetFixture, leaseRequest, outcomeOf } from '../testing/fleet-fixture.js'
import type { memoryEngine } from '../testing/memory-engine.js'

async function underLoad(requests: number, options: Parameters<typeof fleetFixture>[0] = {}) {
  const fixture = fleetFixture(options)
  const worker = await fixture.join('a')
  const leases: Lease[] = []
  for (let count = 0; count < requests; count++) leases.push(fixture.fleet.lease(worker, leaseRequest({ requestId: `r${count}` })))
  return { ...fixture, worker, leases }
}

describe('a drain', () => {
  it('takes the worker out of routing at once and resolves with the last lease, not before and not later', async () => {
    const { fleet, clock, worker, leases } = await underLoad(2)
    const draining = fleet.drain('a')
    expect(worker.phase).toBe('draining')
    expect(fleet.candidates()).toMatchObject({ workers: [], excluded: [{ worker, reason: 'draining' }], panic: false })
    await clock.advance(40_000)
    leases[0]?.end('completed')
    expect(await outcomeOf(draining)).toBe('pending')
    await clock.advance(1_234)
    leases[1]?.end('failed')
    expect(await outcomeOf(draining)).toEqual({
      value: { workerId: 'a', waitedMs: 41_234, finished: 2, aborted: 0, deadlinePassed: false, hookError: undefined },
    })
    expect(worker.phase).toBe('drained')
    expect(fleet.get('a')).toBe(worker)
  })

  it('of an idle worker resolves without waiting', async () => {
    const { fleet } = await underLoad(0)
    await expect(fleet.drain('a')).resolves.toMatchObject({ waitedMs: 0, finished: 0, aborted: 0 })
  })

  it('of a drained worker resolves at once with the report that it had', async () => {
    const { fleet, clock, leases } = await underLoad(1)
    const first = fleet.drain('a')
    await clock.advance(500)
    leases[0]?.end('completed')
    const report = await first
    await clock.advance(9_000)
    await expect(fleet.drain('a', { deadlineMs: 1, onDeadline: 'abort' })).resolves.toBe(report)
  })

  it('waits past its deadline by default, and says that it did', async () => {
    const { fleet, clock, leases } = await underLoad(1)
    const draining = fleet.drain('a', { deadlineMs: 1_000 })
    await clock.advance(5_000)
    expect(await outcomeOf(draining)).toBe('pending')
    expect(leases[0]?.signal.aborted).toBe(false)
    leases[0]?.end('completed')
    await expect(draining).resolves.toMatchObject({ waitedMs: 5_000, finished: 1, aborted: 0, deadlinePassed: true })
  })

  it('ends what is left at its deadline when asked to abort', async () => {
    const { fleet, clock, leases, worker } = await underLoad(3)
    const draining = fleet.drain('a', { deadlineMs: 1_000, onDeadline: 'abort' })
    await clock.advance(400)
    leases[0]?.end('completed')
    await clock.advance(599)
    expect(worker.leases).toBe(2)
    await clock.advance(1)
    expect(worker.leases).toBe(0)
    expect(leases.map(lease => [lease.ended, lease.signal.reason?.code])).toEqual([
      [true, undefined],
      [true, 'DRAIN_DEADLINE'],
      [true, 'DRAIN_DEADLINE'],
    ])
    await expect(draining).resolves.toMatchObject({ waitedMs: 1_000, finished: 1, aborted: 2, deadlinePassed: true })
  })

  it('may have no time at all', async () => {
    const { fleet, clock, worker } = await underLoad(1)
    await expect(clock.runUntil(fleet.drain('a', { deadlineMs: 0, onDeadline: 'abort' }))).resolves.toMatchObject({
      waitedMs: 0,
      aborted: 1,
    })
    expect(worker.phase).toBe('drained')
  })

  it('joins the one under way: the earlier deadline holds', async () => {
    const { fleet, clock } = await underLoad(1)
    const first = fleet.drain('a', { deadlineMs: 60_000, onDeadline: 'abort' })
    await clock.advance(1_000)
    const second = fleet.drain('a', { deadlineMs: 2_000 })
    const third = fleet.drain('a', { deadlineMs: 90_000 })
    await clock.advance(2_000)
    const report = await first
    expect(report).toMatchObject({ waitedMs: 3_000, aborted: 1 })
    expect([await second, await third]).toEqual([report, report])
  })

  it('joins the one under way: abort is taken over, at once if the deadline has passed', async () => {
    const { fleet, clock } = await underLoad(1)
    const first = fleet.drain('a', { deadlineMs: 1_000 })
    await clock.advance(3_000)
    expect(await outcomeOf(first)).toBe('pending')
    const second = fleet.drain('a', { onDeadline: 'abort' })
    await expect(Promise.all([first, second])).resolves.toMatchObject([{ aborted: 1, waitedMs: 3_000 }, {}])
  })

  it('goes on when one of its callers stops waiting', async () => {
    const { fleet, clock, leases, worker } = await underLoad(1)
    const controller = new AbortController()
    const impatient = fleet.drain('a', { signal: controller.signal })
    const patient = fleet.drain('a')
    await clock.advance(100)
    controller.abort()
    await expect(impatient).rejects.toMatchObject({ code: 'ABORTED' })
    expect(worker.phase).toBe('draining')
    leases[0]?.end('completed')
    await expect(patient).resolves.toMatchObject({ finished: 1 })
  })

  it('leaves no listener on the signals of its callers', async () => {
    const { fleet } = await underLoad(0)
    const { signal } = new AbortController()
    await fleet.drain('a', { signal })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('does not begin for a caller that has aborted already', async () => {
    const { fleet, worker } = await underLoad(0)
    await expect(fleet.drain('a', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(worker.phase).toBe('active')
  })

  it('of an id that is not in the fleet rejects with WORKER_UNKNOWN, and bad options with OPTION_INVALID', async () => {
    const { fleet, worker } = await underLoad(0)
    await expect(fleet.drain('b')).rejects.toMatchObject({ code: 'WORKER_UNKNOWN', details: { workerId: 'b' } })
    await expect(fleet.drain('a', { deadlineMs: -1 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    expect(worker.phase).toBe('active')
  })

  it('stops the probes and leaves no timer', async () => {
    const { fleet, clock, worker } = await underLoad(0, { probes: { intervalMs: 100, jitter: 0 } })
    const engine = worker.engine as ReturnType<typeof memoryEngine>
    await clock.advance(1_000)
    await clock.runUntil(fleet.drain('a', { deadlineMs: 60_000 }))
    const calls = engine.calls.length
    expect(calls).toBeGreaterThan(10)
    await clock.advance(1_000)
    expect([engine.calls.length, clock.pending]).toEqual([calls, 0])
  })

  it('is published with its report', async () => {
    const { fleet, clock, leases } = await underLoad(1)
    const messages: unknown[] = []
    const stop = subscribe('kvfleet:drain', message => messages.push(message))
    const draining = fleet.drain('a')
    await clock.advance(70)
    leases[0]?.end('completed')
    await draining
    stop()
    expect(messages).toEqual([{ workerId: 'a', waitedMs: 70, finished: 1, aborted: 0 }])
  })

  it('may be called by whoever is told of the phase', async () => {
    const { fleet, told } = await underLoad(0)
    const reports: Promise<unknown>[] = []
    fleet.on('phase', ({ worker }) => {
      if (worker.phase === 'draining') reports.push(fleet.drain('a'), fleet.remove('a'))
    })
    const report = await fleet.drain('a')
    expect(await Promise.all(reports)).toEqual([report, report])
    expect(told.slice(-3)).toEqual(['a: active > draining', 'a: draining > drained', 'a: drained > removed'])
  })
})

describe('the afterDrained hook', () => {
  it('runs after the last lease and before the worker counts as drained', async () => {
    const seen: unknown[] = []
    const { fleet, clock, leases } = await underLoad(1, {
      hooks: { afterDrained: worker => void seen.push([worker.phase, worker.leases]) },
    })
    const draining = fleet.drain('a')
    await clock.advance(10)
    expect(seen).toEqual([])
    leases[0]?.end('completed')
    await draining
    expect(seen).toEqual([['draining', 0]])
  })

  it('that fails is reported and a problem; the worker is drained all the same', async () => {
    const hooks = { afterDrained: () => Promise.reject(new Error('store is full')) }
    const { fleet, worker, problems } = await underLoad(0, { hooks })
    const report = await fleet.drain('a')
    expect(report.hookError).toMatchObject({ code: 'WORKER_HOOK_FAILED', details: { workerId: 'a', hook: 'afterDrained' } })
    expect(worker.phase).toBe('drained')
    expect(problems).toEqual([report.hookError])
  })

  it('that never ends costs its deadline; waitedMs counts only the leases', async () => {
    const hooks = { afterDrained: () => new Promise<void>(() => {}) }
    const { fleet, clock, worker } = await underLoad(0, { hooks, hookTimeoutMs: 7_000 })
    const report = await clock.runUntil(fleet.drain('a'))
    expect(clock.now()).toBe(1_007_000)
    expect(report).toMatchObject({ waitedMs: 0, hookError: { code: 'WORKER_HOOK_FAILED' } })
    expect(worker.phase).toBe('drained')
  })

  it('is aborted by a forced removal, and skipped when that comes first', async () => {
    const signals: AbortSignal[] = []
    const hooks = {
      afterDrained: (_worker: unknown, { signal }: { signal: AbortSignal }) => {
        signals.push(signal)
        return new Promise<void>(() => {})
      },
    }
    const { fleet, clock, join } = await underLoad(0, { hooks })
    const draining = fleet.drain('a')
    await clock.advance(1)
    const report = await fleet.remove('a', { force: true })
    expect(report.hookError).toMatchObject({ code: 'WORKER_REMOVED' })
    expect(await draining).toBe(report)
    expect(signals[0]?.aborted).toBe(true)
    await join('b')
    await expect(fleet.remove('b', { force: true })).resolves.toMatchObject({ hookError: undefined })
    expect(signals).toHaveLength(1)
  })
})

describe('a removal', () => {
  it('drains first, then forgets the worker', async () => {
    const { fleet, clock, leases, worker, told } = await underLoad(1)
    const removing = fleet.remove('a')
    await clock.advance(300)
    expect(worker.phase).toBe('draining')
    leases[0]?.end('completed')
    await expect(removing).resolves.toMatchObject({ waitedMs: 300, finished: 1 })
    expect([worker.phase, fleet.get('a'), clock.pending]).toEqual(['removed', undefined, 0])
    expect(told.slice(-3)).toEqual(['a: active > draining', 'a: draining > drained', 'a: drained > removed'])
  })

  it('joins the drain under way, and a repeated call gives the same report', async () => {
    const { fleet, clock, leases } = await underLoad(1)
    const draining = fleet.drain('a')
    const removing = [fleet.remove('a'), fleet.remove('a', { deadlineMs: 50 })]
    await clock.advance(100)
    leases[0]?.end('completed')
    const report = await draining
    expect(await Promise.all(removing)).toEqual([report, report])
    expect(report.deadlinePassed).toBe(true)
    await expect(fleet.remove('a')).rejects.toMatchObject({ code: 'WORKER_UNKNOWN' })
  })

  it('by force aborts every lease and does not wait', async () => {
    const { fleet, leases, worker, told } = await underLoad(2)
    const report = await fleet.remove('a', { force: true })
    expect(report).toMatchObject({ finished: 0, aborted: 2, deadlinePassed: false })
    expect(leases.map(lease => lease.signal.reason?.code)).toEqual(['WORKER_REMOVED', 'WORKER_REMOVED'])
    expect(worker.phase).toBe('removed')
    expect(told.slice(-2)).toEqual(['a: active > draining', 'a: draining > removed'])
  })

  it('by force ends a drain and a gentle removal that are waiting', async () => {
    const { fleet, clock, leases } = await underLoad(2)
    const waiting = [fleet.drain('a'), fleet.remove('a')]
    await clock.advance(20)
    leases[0]?.end('completed')
    const report = await fleet.remove('a', { force: true })
    expect(report).toMatchObject({ waitedMs: 20, finished: 1, aborted: 1 })
    expect(await Promise.all(waiting)).toEqual([report, report])
  })

  it('of a drained worker is immediate', async () => {
    const { fleet, clock } = await underLoad(0)
    const report = await fleet.drain('a')
    await clock.advance(100)
    await expect(fleet.remove('a')).resolves.toBe(report)
    expect(fleet.list()).toEqual([])
  })

  it('frees the id only when nothing is left', async () => {
    const { fleet, join, leases } = await underLoad(1)
    const removing = fleet.remove('a')
    await expect(join('a')).rejects.toMatchObject({ code: 'WORKER_EXISTS' })
    leases[0]?.end('completed')
    await removing
    await expect(join('a')).resolves.toMatchObject({ incarnation: 2, leases: 0 })
  })
})
