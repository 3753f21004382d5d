import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { EngineAdapter } from '../engine.js'
import { subscribe } from '../telemetry.js'
import { fleetFixture, leaseRequest, workerSpec } from '../testing/fleet-fixture.js'
import { scriptedKvSource } from '../testing/fleet-kv-source.js'
import { memoryEngine } from '../testing/memory-engine.js'
import type { WorkerSpec } from '../worker.js'
import { createFleet } from './create-fleet.js'
import type { FleetOptions } from './fleet.js'

const SECRET = 'sk-very-secret'

describe('listeners', () => {
  it('that throw or reject become problems and keep nobody from hearing the rest', async () => {
    const { fleet, join, problems } = fleetFixture()
    const heard: string[] = []
    fleet.on('phase', () => {
      throw new Error('bad listener')
    })
    fleet.on('phase', async () => {
      throw new Error('bad async listener')
    })
    fleet.on('phase', ({ to }) => heard.push(to))
    fleet.on('problem', () => {
      throw new Error('even worse')
    })
    const worker = await join('a')
    expect(worker.phase).toBe('active')
    expect(heard).toEqual(['joining', 'active'])
    expect(problems.map(({ message }) => message).sort()).toEqual([
      'bad async listener',
      'bad async listener',
      'bad listener',
      'bad listener',
    ])
  })

  it('hear of leases and cordons until they unsubscribe', async () => {
    const { fleet, join, told } = fleetFixture()
    const worker = await join('a')
    const leases: unknown[] = []
    const stop = fleet.on('lease', ({ lease, ...change }) => leases.push([lease.request.requestId, change]))
    const lease = fleet.lease(worker, leaseRequest({ requestId: 'x' }))
    lease.firstToken()
    lease.end('completed')
    stop()
    fleet.lease(worker, leaseRequest())
    expect(leases).toEqual([
      ['x', { state: 'taken' }],
      ['x', { state: 'first-token' }],
      ['x', { state: 'ended', outcome: 'completed' }],
    ])
    expect([fleet.cordon('a'), fleet.cordon('a'), fleet.uncordon('a')]).toEqual([worker, worker, worker])
    expect(told.slice(-2)).toEqual(['a: cordoned', 'a: uncordoned'])
    expect(() => fleet.cordon('nobody')).toThrow(expect.objectContaining({ code: 'WORKER_UNKNOWN' }))
  })

  it('on the diagnostics channels see the same', async () => {
    const seen: unknown[] = []
    const stops = [
      subscribe('kvfleet:worker', message => seen.push(message)),
      subscribe('kvfleet:lease', message => seen.push(message)),
      subscribe('kvfleet:kv', message => seen.push(message)),
    ]
    const kvEvents = scriptedKvSource()
    const { fleet, clock, join } = fleetFixture({ probes: false, breaker: { failureThreshold: 1 }, kvEvents })
    const worker = await join('a')
    fleet.cordon('a')
    const lease = fleet.lease(worker, leaseRequest({ requestId: 'x' }))
    await clock.advance(30)
    lease.firstToken()
    await clock.advance(12)
    lease.end('failed')
    kvEvents.send(worker, { type: 'batch', sequence: 4 })
    kvEvents.send(worker, { type: 'reset', reason: 'joined' })
    for (const stop of stops) stop()
    expect(seen).toEqual([
      { workerId: 'a', field: 'phase', from: 'none', to: 'joining' },
      { workerId: 'a', field: 'phase', from: 'joining', to: 'active' },
      { workerId: 'a', field: 'cordoned', from: 'false', to: 'true' },
      { workerId: 'a', requestId: 'x', state: 'taken', elapsedMs: 0 },
      { workerId: 'a', requestId: 'x', state: 'first-token', elapsedMs: 30 },
      { workerId: 'a', field: 'health', from: 'unknown', to: 'unhealthy' },
      { workerId: 'a', requestId: 'x', state: 'ended', elapsedMs: 42, outcome: 'failed' },
      { workerId: 'a', kind: 'batch', events: 0 },
      { workerId: 'a', kind: 'reset', events: 0, reason: 'joined' },
    ])
  })
})

describe('upstream headers', () => {
  const upstreamHeaders = { authorization: `Bearer ${SECRET}` }

  it('reach the engine through probes and through connection(), and are seen nowhere else', async () => {
    const received = new Set<string | undefined>()
    const memory = memoryEngine()
    const engine: EngineAdapter = {
      name: 'memory',
      health(connection) {
        received.add(connection.headers.authorization)
        return memory.health(connection)
      },
    }
    const { fleet, clock, told, problems } = fleetFixture({ probes: { intervalMs: 10 } })
    const seen: unknown[] = []
    for (const event of ['phase', 'health', 'cordon', 'lease', 'problem'] as const)
      fleet.on(event, (payload: unknown) => void seen.push(payload))
    const worker = await clock.runUntil(fleet.add({ ...workerSpec('a'), engine, upstreamHeaders }))
    const lease = fleet.lease(worker, leaseRequest())
    fleet.cordon('a')
    memory.state = 'down'
    await clock.advance(1_000)
    expect([...received]).toEqual([`Bearer ${SECRET}`])

    const connection = fleet.connection(worker)
    expect(connection).toMatchObject({ url: 'http://10.0.0.1:8000', headers: upstreamHeaders, clock, fetch: fleet.fetch })
    const shown = [worker, fleet, fleet.list(), fleet.candidates(), lease, seen, told, problems]
    const errors = [await fleet.add(workerSpec('a')).catch(error => error), await fleet.drain('b').catch(error => error)]
    for (const value of [...shown, ...errors]) {
      expect(inspect(value, { depth: 20, showHidden: true, customInspect: false })).not.toContain(SECRET)
      expect(inspect(value, { depth: 20 })).not.toContain(SECRET)
      expect(safeJson(value)).not.toContain(SECRET)
    }
  })

  it('belong to the connection for as long as the worker lives', async () => {
    const { fleet, join } = fleetFixture()
    const worker = await join('a', { upstreamHeaders })
    const own = new AbortController().signal
    expect(fleet.connection(worker, own).signal).toBe(own)
    const { signal } = fleet.connection(worker)
    expect(signal.aborted).toBe(false)
    await fleet.remove('a')
    expect(signal.reason).toMatchObject({ code: 'WORKER_REMOVED' })
    const stranger = await fleetFixture().join('a')
    expect(() => fleet.connection(stranger)).toThrow(expect.objectContaining({ code: 'WORKER_UNKNOWN' }))
  })

  it('are left out of the error that refuses them', async () => {
    const { fleet } = fleetFixture()
    const bad = [
      { url: `http://user:${SECRET}@host:1` },
      { upstreamHeaders: { 'x-key': `${SECRET}\r\n` } },
      { upstreamHeaders: { [`${SECRET} `]: 'x' } },
      { upstreamHeaders: [SECRET] as unknown as Record<string, string> },
      { upstreamHeaders: new Headers({ 'x-key': SECRET }) as unknown as Record<string, string> },
      { upstreamHeaders: SECRET as unknown as Record<string, string> },
    ]
    for (const spec of bad) {
      const error = await fleet.add({ ...workerSpec('a'), ...spec }).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'OPTION_INVALID' })
      expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(SECRET)
    }
  })
})

describe('a worker', () => {
  it('shows what people need as JSON', async () => {
    const { fleet, join } = fleetFixture()
    const labels = { team: 'search' }
    const worker = await join('a', { url: 'http://10.0.0.1:8000/engine/', labels, topology: { zone: 'z' }, role: 'decode' })
    labels.team = 'changed later'
    fleet.lease(worker, leaseRequest())
    expect(JSON.parse(JSON.stringify(worker))).toEqual({
      id: 'a',
      url: 'http://10.0.0.1:8000/engine',
      role: 'decode',
      phase: 'active',
      health: 'healthy',
      cordoned: false,
      models: ['m'],
      readyAt: 1_000_000,
      leases: 1,
      incarnation: 1,
      labels: { team: 'search' },
      topology: { zone: 'z' },
    })
    expect(inspect(worker)).toContain("phase: 'active'")
  })

  it.each<[string, Record<string, unknown>]>([
    ['id', { id: 'a b' }],
    ['id', { id: '' }],
    ['url', { url: 'not a url' }],
    ['url', { url: 'ftp://host' }],
    ['url', { url: 'http://host/v1' }],
    ['url', { url: 'http://host/?key=1' }],
    ['engine', { engine: { name: 'x' } }],
    ['engine', { engine: { health: async () => {} } }],
    ['role', { role: 'router' }],
    ['id', { id: undefined }],
    ['url', { url: undefined }],
    ['engine', { engine: undefined }],
    ['blockSize', { blockSize: 0 }],
    ['dataParallelRanks', { dataParallelRanks: 1.5 }],
    ['capacity.kvBlocks', { capacity: { kvBlocks: -1 } }],
    ['topology.zoen', { topology: { zoen: 'x' } }],
    ['moddels', { moddels: [] }],
    [
      'profile.standIn',
      {
        profile: {
          name: 'p',
          stepBaseMs: 1,
          prefillMsPerToken: 1,
          prefillMsPerTokenPerContextToken: 1,
          decodeMsPerSequence: 1,
          decodeMsPerContextToken: 1,
          maxBatchedTokens: 1,
        },
      },
    ],
  ])('is refused when %s does not fit: %o', async (field, change) => {
    const { fleet } = fleetFixture()
    const spec = { ...workerSpec('a'), ...change } as WorkerSpec
    await expect(fleet.add(spec)).rejects.toMatchObject({ code: 'OPTION_INVALID', details: { what: 'fleet.add', field } })
    expect(fleet.list()).toEqual([])
  })

  it('may leave out anything by undefined', async () => {
    const { fleet, clock } = fleetFixture()
    const spec = { ...workerSpec('a'), models: undefined, topology: { zone: undefined, host: 'h' }, upstreamHeaders: undefined }
    const worker = await clock.runUntil(fleet.add(spec as unknown as WorkerSpec))
    expect([worker.models, worker.topology]).toEqual([['m'], { host: 'h' }])
    expect(Object.keys(worker.topology)).toEqual(['host'])
  })
})

describe('createFleet', () => {
  it.each<[string, Record<string, unknown>]>([
    ['joinTimeoutMs', { joinTimeoutMs: 0 }],
    ['hookTimeoutMs', { hookTimeoutMs: Number.NaN }],
    ['clock', { clock: {} }],
    ['kvEvents', { kvEvents: { name: 'x' } }],
    ['probs', { probs: {} }],
    ['hooks.beforeReady', { hooks: { beforeReady: 'x' } }],
  ])('refuses a bad %s', (field, options) => {
    expect(() => createFleet(options as FleetOptions)).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', details: expect.objectContaining({ field }) }),
    )
  })

  it('says what it expected of a port', () => {
    expect(() => createFleet({ clock: {} } as FleetOptions)).toThrow('createFleet: clock: expected a Clock with now() and schedule()')
  })

  it('needs no options', async () => {
    const fleet = createFleet()
    expect([fleet.kvEvents, fleet.list(), fleet.candidates()]).toEqual([undefined, [], { workers: [], excluded: [], panic: false }])
    await fleet.close()
  })
})

describe('close', () => {
  it('ends leases, joins, drains, probes and subscriptions and leaves no timer', async () => {
    const kvEvents = scriptedKvSource()
    const { fleet, clock, join, told } = fleetFixture({ kvEvents, breaker: { failureThreshold: 1 } })
    const busy = await join('busy')
    const drainingWorker = await join('draining')
    await join('drained')
    await fleet.drain('drained')
    const leases = [fleet.lease(busy, leaseRequest()), fleet.lease(drainingWorker, leaseRequest())]
    const { signal } = leases[0] as (typeof leases)[0]
    fleet.lease(busy, leaseRequest()).end('failed')
    const pending = [
      fleet.add({ ...workerSpec('joining'), engine: memoryEngine({ state: 'down' }) }),
      fleet.drain('draining', { deadlineMs: 60_000 }),
      fleet.remove('draining'),
      fleet.remove('busy'),
    ]
    const rejections = Promise.all(pending.map(promise => expect(promise).rejects.toMatchObject({ code: 'CLOSED' })))
    await clock.advance(700)
    const closing = fleet.close()
    expect(fleet.close()).toBe(closing)
    await closing
    await rejections
    expect([clock.pending, kvEvents.openCount, fleet.list()]).toEqual([0, 0, []])
    expect(signal.reason).toMatchObject({ code: 'CLOSED' })
    expect(leases.map(({ ended }) => ended)).toEqual([true, true])
    expect(told.filter(line => line.endsWith('removed')).sort()).toEqual([
      'busy: draining > removed',
      'drained: drained > removed',
      'draining: draining > removed',
      'joining: joining > removed',
    ])
  })

  it('aborts a hook that is running and does not wait for it', async () => {
    const hooks = { afterDrained: () => new Promise<void>(() => {}) }
    const { fleet, clock, join } = fleetFixture({ hooks })
    await join('a')
    const rejected = expect(fleet.drain('a')).rejects.toMatchObject({ code: 'CLOSED' })
    await clock.advance(5)
    await fleet.close()
    await rejected
    expect(clock.pending).toBe(0)
  })

  it('is what every later call meets', async () => {
    const { fleet, join } = fleetFixture()
    const worker = await join('a')
    await fleet[Symbol.asyncDispose]()
    const closed = { code: 'CLOSED' }
    await expect(fleet.add(workerSpec('b'))).rejects.toMatchObject(closed)
    await expect(fleet.drain('a')).rejects.toMatchObject(closed)
    await expect(fleet.remove('a')).rejects.toMatchObject(closed)
    expect(() => fleet.cordon('a')).toThrow(expect.objectContaining(closed))
    expect(() => fleet.lease(worker, leaseRequest())).toThrow(expect.objectContaining(closed))
    expect([fleet.get('a'), fleet.list(), fleet.candidates().workers]).toEqual([undefined, [], []])
  })

  it('cannot be overtaken by a listener that adds or drains', async () => {
    const { fleet, clock, join } = fleetFixture()
    await join('a')
    await join('b')
    const late: Promise<unknown>[] = []
    fleet.on('phase', ({ to }) => {
      if (to === 'draining')
        late.push(
          fleet.add(workerSpec('c')).catch(error => error.code),
          fleet.remove('b', { force: true }).catch(error => error.code),
        )
    })
    await fleet.close()
    expect(await Promise.all(late)).toEqual(['CLOSED', 'CLOSED', 'CLOSED', 'CLOSED'])
    expect(clock.pending).toBe(0)
  })
})

function safeJson(value: unknown): string {
  const seen = new Set<unknown>()
  return JSON.stringify(value, (_key, entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return entry
    if (seen.has(entry)) return undefined
    seen.add(entry)
    return entry
  })
}
