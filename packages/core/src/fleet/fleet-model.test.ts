import fc from 'fast-check'
import { expect, it } from 'vitest'
import { KvFleetError } from '../errors.js'
import type { Lease, LeaseOutcome } from '../lease.js'
import { fleetFixture, leaseRequest, workerSpec } from '../testing/fleet-fixture.js'
import { scriptedKvSource } from '../testing/fleet-kv-source.js'
import { FleetModel, type ModelLease, type ModelWorker, modelSettings } from '../testing/fleet-model.js'
import { memoryEngine } from '../testing/memory-engine.js'
import type { DrainReport } from './fleet.js'

const IDS = ['a', 'b', 'c'] as const
type Id = (typeof IDS)[number]

/** A call of the real fleet that may take time, beside the worker of the model that it was about. */
interface PendingCall {
  readonly worker: ModelWorker
  outcome: { readonly report: DrainReport } | { readonly error: unknown } | undefined
}

function realFleet() {
  const kvEvents = scriptedKvSource()
  const { joinTimeoutMs, probes, breaker } = modelSettings
  const fixture = fleetFixture({ joinTimeoutMs, probes, breaker, kvEvents })
  const engines = new Map(IDS.map(id => [id as string, memoryEngine()]))
  const leases: Lease[] = []
  const calls: PendingCall[] = []
  const follow = (worker: ModelWorker, promise: Promise<DrainReport>) => {
    const call: PendingCall = { worker, outcome: undefined }
    calls.push(call)
    promise.then(
      report => {
        call.outcome = { report }
      },
      error => {
        call.outcome = { error }
      },
    )
  }
  return { ...fixture, kvEvents, engines, leases, calls, follow }
}

type Real = ReturnType<typeof realFleet>
type Command = fc.AsyncCommand<FleetModel, Real>

function command(text: string, run: (model: FleetModel, real: Real) => void, check: (model: FleetModel) => boolean = () => true): Command {
  return {
    check,
    async run(model, real) {
      run(model, real)
      await real.clock.advance(0)
      verify(model, real)
    },
    toString: () => text,
  }
}

function verify(model: FleetModel, { fleet, leases, calls }: Real): void {
  expect(
    fleet.list().map(worker => {
      const { id, incarnation, phase, cordoned, health } = worker
      return { id, incarnation, phase, cordoned, health, inFlight: worker.inFlight(0), leases: worker.leases }
    }),
  ).toEqual(
    [...model.workers.values()].map(worker => {
      const { id, incarnation, phase, cordoned } = worker
      const open = model.openLeases(worker)
      const waiting = open.filter(lease => lease.waiting)
      const sum = (of: ModelLease[]) => of.reduce((total, { tokens }) => total + tokens, 0)
      const inFlight = { requests: open.length, waitingRequests: waiting.length, waitingPrefillTokens: sum(waiting), kvTokens: sum(open) }
      return { id, incarnation, phase, cordoned, health: model.healthOf(worker), inFlight, leases: open.length }
    }),
  )

  const candidates = fleet.candidates()
  expect({ workers: candidates.workers.map(({ id }) => id), panic: candidates.panic }).toEqual(model.candidates())
  expect([...candidates.workers, ...candidates.excluded.map(({ worker }) => worker)]).toHaveLength(model.workers.size)

  expect(leases.map(lease => [lease.ended, lease.signal.aborted ? lease.signal.reason.code : undefined])).toEqual(
    model.leases.map(({ ended, abortedWith }) => [ended, abortedWith]),
  )

  for (const { worker, outcome } of calls) {
    // Resolved exactly when nothing is in flight any more.
    expect(outcome === undefined).toBe(worker.drain !== undefined && worker.drain.emptiedAt === undefined)
    if (outcome === undefined || worker.drain === undefined) continue
    const { startedAt, emptiedAt = 0, openAtStart, aborted, deadlinePassed } = worker.drain
    const waitedMs = emptiedAt - startedAt
    expect(outcome).toEqual({
      report: { workerId: worker.id, waitedMs, finished: openAtStart - aborted, aborted, deadlinePassed, hookError: undefined },
    })
  }
}

const id = fc.constantFrom<Id>(...IDS)
const has = (key: Id) => (model: FleetModel) => model.workers.has(key)
const workerOf = (model: FleetModel, key: Id) => model.workers.get(key) as ModelWorker
const pick = <T>(list: readonly T[], which: number) => list[which % list.length] as T
const hasLeases = (model: FleetModel) => model.leases.length > 0

const commands = [
  id.map(key =>
    command(`add ${key}`, (model, { fleet, engines }) => {
      const added = model.add(key)
      const engine = engines.get(key) as ReturnType<typeof memoryEngine>
      const expected = added ? ['WORKER_JOIN_TIMEOUT', 'WORKER_REMOVED', 'CLOSED'] : ['WORKER_EXISTS']
      fleet.add({ ...workerSpec(key), engine }).catch(error => expect(expected).toContain(error.code))
    }),
  ),
  fc.tuple(id, fc.boolean()).map(([key, down]) =>
    command(`engine ${key} ${down ? 'down' : 'up'}`, (model, { engines }) => {
      model.enginesDown[down ? 'add' : 'delete'](key)
      ;(engines.get(key) as ReturnType<typeof memoryEngine>).state = down ? 'down' : 'up'
    }),
  ),
  fc.tuple(id, fc.nat(1_000)).map(([key, tokens]) =>
    command(
      `lease ${key} ${tokens}`,
      (model, { fleet, leases }) => {
        const worker = fleet.get(key)
        const take = () => (worker === undefined ? undefined : fleet.lease(worker, leaseRequest({ promptTokens: tokens })))
        if (model.lease(workerOf(model, key), tokens) === undefined) expect(take).toThrow(expect.objectContaining({ code: 'WORKER_PHASE' }))
        else leases.push(take() as Lease)
      },
      has(key),
    ),
  ),
  fc.nat().map(which =>
    command(
      `first token ${which}`,
      (model, { leases }) => {
        model.firstToken(pick(model.leases, which))
        pick(leases, which).firstToken()
      },
      hasLeases,
    ),
  ),
  fc.tuple(fc.nat(), fc.constantFrom<LeaseOutcome>('completed', 'failed', 'failed', 'cancelled', 'aborted')).map(([which, outcome]) =>
    command(
      `end ${which} ${outcome}`,
      (model, { leases }) => {
        model.end(pick(model.leases, which), outcome)
        pick(leases, which).end(outcome)
      },
      hasLeases,
    ),
  ),
  fc.tuple(id, fc.boolean()).map(([key, cordoned]) =>
    command(
      `${cordoned ? 'cordon' : 'uncordon'} ${key}`,
      (model, { fleet }) => {
        workerOf(model, key).cordoned = cordoned
        fleet[cordoned ? 'cordon' : 'uncordon'](key)
      },
      has(key),
    ),
  ),
  // Half a millisecond: a deadline never falls on a probe.
  fc
    .tuple(
      id,
      fc.option(
        fc.integer({ min: 0, max: 6_000 }).map(ms => ms + 0.5),
        { nil: undefined },
      ),
      fc.boolean(),
    )
    .map(([key, deadlineMs, abort]) =>
      command(
        `drain ${key} ${deadlineMs} ${abort ? 'abort' : 'wait'}`,
        (model, { fleet, follow }) => {
          const worker = workerOf(model, key)
          model.drain(worker, deadlineMs, abort)
          follow(worker, fleet.drain(key, { ...(deadlineMs === undefined ? {} : { deadlineMs }), onDeadline: abort ? 'abort' : 'wait' }))
        },
        has(key),
      ),
    ),
  fc.tuple(id, fc.boolean()).map(([key, force]) =>
    command(
      `remove ${key}${force ? ' by force' : ''}`,
      (model, { fleet, follow }) => {
        const worker = workerOf(model, key)
        model.remove(worker, force)
        follow(worker, fleet.remove(key, { force }))
      },
      has(key),
    ),
  ),
  fc.integer({ min: 1, max: 4_000 }).map(byMs => ({
    check: () => true,
    async run(model: FleetModel, real: Real) {
      model.advance(byMs)
      await real.clock.advance(byMs)
      verify(model, real)
    },
    toString: () => `advance ${byMs}`,
  })),
]

it('behaves as its model under any sequence of calls, and closes without a remainder', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: 'max' }), async sequence => {
      const real = realFleet()
      await fc.asyncModelRun(() => ({ model: new FleetModel(real.clock.now()), real }), sequence)
      await real.fleet.close()
      expect([real.clock.pending, real.kvEvents.openCount, real.fleet.list().length]).toEqual([0, 0, 0])
      expect(real.leases.every(lease => lease.ended)).toBe(true)
      await real.clock.advance(0)
      for (const { outcome } of real.calls) {
        expect(outcome).toBeDefined()
        if (outcome !== undefined && 'error' in outcome) expect(KvFleetError.is(outcome.error, 'CLOSED')).toBe(true)
      }
    }),
    { numRuns: 120 },
  )
}, 60_000)
