import type { IncomingMessage, ServerResponse } from 'node:http'
import { subscribe, type TelemetryMessages } from '@kvfleet/core'
import { createVirtualClock } from '@kvfleet/core/virtual-time'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRouter } from '../create-router.js'
import { kvAware } from '../policies/kv-aware.js'
import { leastLoaded } from '../policies/least-loaded.js'
import { roundRobin } from '../policies/round-robin.js'
import type { Policy } from '../policy.js'
import type { TokenSource } from '../router.js'
import { freePort, SocketFleet, scriptedEngine, until } from '../testing/socket-fleet.js'
import { createDispatcher } from './create-dispatcher.js'
import type { Dispatcher, DispatcherOptions, DispatchRequest } from './dispatcher.js'

let sockets: SocketFleet
const requests: TelemetryMessages['kvfleet:request'][] = []
let unsubscribe: () => void

beforeEach(() => {
  sockets = new SocketFleet()
  requests.length = 0
  unsubscribe = subscribe('kvfleet:request', message => requests.push(message))
})
afterEach(async () => {
  unsubscribe()
  await sockets[Symbol.asyncDispose]()
})

function dispatcher(policy: Policy = roundRobin(), options: Omit<DispatcherOptions, 'router'> = {}): Dispatcher {
  const router = createRouter({ fleet: sockets.fleet, policy })
  const created = createDispatcher({ router, ...options })
  sockets.defer(() => created.close())
  return created
}

function completion(body: object, rest: Partial<DispatchRequest> = {}): DispatchRequest {
  return {
    method: 'POST',
    path: '/v1/completions',
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ model: 'm', prompt: 'hello there', max_tokens: 4, ...body })),
    ...rest,
  }
}

const bytes = async (body: ReadableStream<Uint8Array>) => Buffer.from(await new Response(body).arrayBuffer())
const text = async (body: ReadableStream<Uint8Array>) => (await bytes(body)).toString()

const leases = () => sockets.fleet.list().reduce((sum, worker) => sum + worker.leases, 0)

describe('relaying', () => {
  it('passes the request and the response on byte for byte', async () => {
    const received: { body: string; headers: Record<string, unknown> }[] = []
    const reply = Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * 7) % 256))
    await sockets.addScripted(
      'a',
      (incoming, response) => {
        const chunks: Buffer[] = []
        incoming.on('data', chunk => chunks.push(chunk))
        incoming.on('end', () => {
          received.push({ body: Buffer.concat(chunks).toString(), headers: incoming.headers })
          response
            .writeHead(201, { 'content-type': 'application/octet-stream', 'x-own': 'yes', connection: 'keep-alive, x-hop', 'x-hop': '1' })
            .end(reply)
        })
      },
      { upstreamHeaders: { Authorization: 'Bearer secret' } },
    )
    const odd = '{ "model":"m",  "prompt" : "h\\u0065llo", "unknown": [1.0] }'
    const headers = {
      'content-type': 'application/json',
      authorization: 'Bearer client',
      'x-request-id': 'mine',
      connection: 'x-mine',
      'x-mine': '1',
    }
    const response = await dispatcher().dispatch(completion({}, { headers, body: odd }))
    expect(response.status).toBe(201)
    expect(response.headers).toMatchObject({ 'x-own': 'yes', 'x-request-id': 'mine', 'x-kvfleet-worker': 'a' })
    expect(response.headers).not.toHaveProperty('x-hop')
    expect((await bytes(response.body)).equals(reply)).toBe(true)
    expect(received[0]?.body).toBe(odd)
    expect(received[0]?.headers).toMatchObject({ authorization: 'Bearer secret', 'x-request-id': 'mine' })
    expect(received[0]?.headers).not.toHaveProperty('x-mine')
    expect(response.decision?.worker.id).toBe('a')
  })

  it('streams from an engine as tokens come, and the lease follows: waiting, running, gone', async () => {
    await sockets.addSimulated('a')
    const worker = sockets.fleet.get('a')!
    const states: string[] = []
    sockets.fleet.on('lease', ({ state, outcome }) => states.push(outcome ?? state))
    const response = await dispatcher().dispatch(completion({ stream: true, max_tokens: 50 }))
    const reader = response.body.getReader()
    const first = await reader.read()
    expect(Buffer.from(first.value!).toString()).toMatch(/^data: {"id":"cmpl-req-/)
    expect(worker.inFlight(0)).toMatchObject({ requests: 1, waitingRequests: 0 })
    let rest = ''
    for (let part = await reader.read(); !part.done; part = await reader.read()) rest += Buffer.from(part.value).toString()
    expect(rest.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(worker.leases).toBe(0)
    expect(states).toEqual(['taken', 'first-token', 'completed'])
    expect(requests).toMatchObject([{ fleet: sockets.fleet, workerId: 'a', status: 200, outcome: 'completed' }])
    expect(requests[0]!.ttftMs).toBeLessThan(requests[0]!.totalMs)
  })

  it('reads no faster than its reader', async () => {
    let written = 0
    const total = 24 * 1024 * 1024
    await sockets.addScripted('a', (_, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' })
      const more = () => {
        while (written < total && !response.destroyed) {
          written += 65_536
          if (!response.write(Buffer.alloc(65_536, 1))) return response.once('drain', more)
        }
        response.end()
      }
      more()
    })
    const response = await dispatcher().dispatch(completion({}))
    let before = -1
    await until(async () => {
      const still = before === written
      before = written
      await new Promise(resolve => setTimeout(resolve, 50))
      return still
    }, 'the engine to be held back')
    expect(written).toBeLessThan(total / 2)
    expect(await bytes(response.body)).toHaveLength(total)
  })

  it.each(['application/octet-stream', 'text/event-stream'])('gives up a response of %s that nobody reads', async type => {
    const clock = createVirtualClock()
    const paused = new SocketFleet({ clock })
    try {
      let closed = false
      await paused.addScripted('a', (_, response) => {
        response.on('close', () => {
          closed = true
        })
        response.writeHead(200, { 'content-type': type })
        const event = Buffer.from(`data: ${'x'.repeat(65_528)}\n\n`)
        const more = () => {
          while (!response.destroyed && response.write(event));
          if (!response.destroyed) response.once('drain', more)
        }
        more()
      })
      const dispatch = createDispatcher({ router: createRouter({ fleet: paused.fleet, policy: roundRobin() }), bodyTimeoutMs: 60_000 })
      paused.defer(() => dispatch.close())
      const { body } = await dispatch.dispatch(completion({}))
      await until(() => clock.pending === 1, 'the engine to be paused')
      await clock.advance(59_999)
      expect(paused.fleet.get('a')?.leases).toBe(1)
      await clock.advance(1)
      expect(paused.fleet.get('a')?.leases).toBe(0)
      await until(() => closed, 'the engine to be told')
      expect(requests).toMatchObject([{ outcome: 'cancelled' }])
      if (type === 'text/event-stream') expect((await text(body)).slice(-200)).toContain('"code":"ABORTED"')
      else await expect(text(body)).rejects.toMatchObject({ code: 'ABORTED', message: expect.stringContaining('60000 ms') })
      expect(clock.pending).toBe(0)
    } finally {
      await paused[Symbol.asyncDispose]()
    }
  })

  it('pins a request to the rank that was decided', async () => {
    const seen: unknown[] = []
    const listener = (incoming: IncomingMessage, response: ServerResponse) => {
      seen.push(incoming.headers['x-rank'])
      response.end()
    }
    await sockets.addScripted('a', listener, { dataParallelRanks: 2, engine: { ...scriptedEngine, rankHeader: 'X-Rank' } })
    const dispatch = dispatcher()
    for (let count = 0; count < 2; count++) await text((await dispatch.dispatch(completion({}))).body)
    expect(seen).toEqual(['0', '1'])
  })

  it('puts the path behind the base path of the engine', async () => {
    let url: string | undefined
    const engine = await sockets.addScripted('other', (incoming, response) => {
      url = incoming.url
      response.end()
    })
    await sockets.fleet.remove('other')
    await sockets.fleet.add({ id: 'a', url: `${engine.url}/base/`, engine: scriptedEngine })
    await text((await dispatcher().dispatch(completion({}, { path: '/v1/completions?x=1' }))).body)
    expect(url).toBe('/base/v1/completions?x=1')
  })

  it('decides and reserves without a gap, so that requests of one moment spread', async () => {
    for (const id of ['a', 'b', 'c', 'd']) await sockets.addSimulated(id)
    const dispatch = dispatcher(leastLoaded())
    const responses = await Promise.all(Array.from({ length: 40 }, () => dispatch.dispatch(completion({}))))
    const counts: Record<string, number> = {}
    for (const { decision, body } of responses) {
      counts[decision!.worker.id] = (counts[decision!.worker.id] ?? 0) + 1
      await text(body)
    }
    expect(counts).toEqual({ a: 10, b: 10, c: 10, d: 10 })
    expect(leases()).toBe(0)
  })
})

describe('trying elsewhere', () => {
  it('goes to another worker when one refuses the connection', async () => {
    await sockets.fleet.add({ id: 'dead', url: `http://127.0.0.1:${await freePort()}`, engine: scriptedEngine })
    await sockets.addSimulated('alive')
    const outcomes: string[] = []
    sockets.fleet.on('lease', ({ lease, outcome }) => outcome && outcomes.push(`${lease.worker.id} ${outcome}`))
    const response = await dispatcher().dispatch(completion({}))
    expect(response.status).toBe(200)
    expect(response.headers['x-kvfleet-worker']).toBe('alive')
    await text(response.body)
    expect(outcomes).toEqual(['dead failed', 'alive completed'])
    expect(requests).toMatchObject([{ workerId: 'alive', outcome: 'completed' }])
  })

  it('goes to another worker when one resets before the head of its response', async () => {
    await sockets.addScripted('resets', incoming => incoming.socket.resetAndDestroy())
    await sockets.addSimulated('alive')
    const response = await dispatcher().dispatch(completion({}))
    expect(response.headers['x-kvfleet-worker']).toBe('alive')
    await text(response.body)
  })

  it.each([502, 503, 504])('goes to another worker on %i, and passes it on when there is none', async status => {
    await sockets.addScripted('busy', (_, response) => response.writeHead(status, { 'content-type': 'text/plain' }).end('busy'))
    const dispatch = dispatcher()
    const alone = await dispatch.dispatch(completion({}))
    expect([alone.status, await text(alone.body)]).toEqual([status, 'busy'])
    expect(requests).toMatchObject([{ status, outcome: 'failed' }])
    await sockets.addSimulated('alive')
    for (let count = 0; count < 2; count++) {
      const response = await dispatch.dispatch(completion({}))
      expect(response.headers['x-kvfleet-worker']).toBe('alive')
      await text(response.body)
    }
    expect(leases()).toBe(0)
  })

  it('asks the one worker again when a kept-alive connection breaks', async () => {
    let count = 0
    await sockets.addScripted('a', (incoming, response) => (++count === 1 ? incoming.socket.destroy() : response.end('fine')))
    const response = await dispatcher().dispatch(completion({}))
    expect(await text(response.body)).toBe('fine')
    expect(count).toBe(2)
  })

  it('gives up after its retries and says what it tried', async () => {
    for (const id of ['a', 'b', 'c']) await sockets.addScripted(id, incoming => incoming.socket.destroy())
    const attempt = dispatcher(roundRobin(), { retries: 1 }).dispatch(completion({}))
    await expect(attempt).rejects.toMatchObject({
      code: 'DISPATCH_FAILED',
      message: expect.stringMatching(/^no worker answered; tried a \(UND_ERR_SOCKET\), [bc] \(UND_ERR_SOCKET\)$/),
      retryable: true,
    })
    expect(requests).toMatchObject([{ status: 502, outcome: 'failed' }])
    expect(leases()).toBe(0)
  })

  it('does not repeat a request whose response has begun, nor one that a worker refused', async () => {
    let count = 0
    await sockets.addScripted('a', (_, response) => {
      count++
      response.writeHead(400).end('no')
    })
    await sockets.addScripted('b', (_, response) => response.end('yes'))
    const response = await dispatcher().dispatch(completion({}))
    expect([response.status, await text(response.body), count]).toEqual([400, 'no', 1])
    expect(requests).toMatchObject([{ status: 400, outcome: 'completed' }])
  })
})

describe('finding token ids', () => {
  const withTokens = (tokens: TokenSource['tokens']): Dispatcher => {
    const router = createRouter({ fleet: sockets.fleet, policy: kvAware(), tokens: { name: 'test', tokens } })
    const created = createDispatcher({ router })
    sockets.defer(() => created.close())
    return created
  }

  it('happens once, however many workers are tried', async () => {
    await sockets.addScripted('resets', incoming => incoming.socket.destroy())
    await sockets.addSimulated('alive')
    sockets.fleet.lease(sockets.fleet.get('alive')!, { kind: 'aggregated', requestId: 'x', promptTokens: 10_000 })
    let asked = 0
    const dispatch = withTokens(async () => {
      asked++
      return Uint32Array.of(1, 2, 3)
    })
    const { headers, decision, body } = await dispatch.dispatch(completion({}))
    expect([headers['x-kvfleet-worker'], decision?.promptTokens, asked]).toEqual(['alive', 3, 1])
    await text(body)
  })

  it('may fail: the decision says so and the request goes on', async () => {
    await sockets.addSimulated('a')
    const { decision, body } = await withTokens(() => Promise.reject(new Error('no'))).dispatch(completion({}))
    expect(decision?.reasons).toContainEqual({ code: 'tokens-failed', values: { source: 'test', error: 'INTERNAL' } })
    await text(body)
  })

  it('ends when the client leaves, and no worker is asked', async () => {
    await sockets.addSimulated('a')
    const taken: unknown[] = []
    sockets.fleet.on('lease', change => taken.push(change))
    const controller = new AbortController()
    let stopped = false
    const dispatch = withTokens(
      (_, { signal }) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => {
            stopped = true
            reject(signal.reason)
          })
          controller.abort()
        }),
    )
    await expect(dispatch.dispatch(completion({}, { signal: controller.signal }))).rejects.toMatchObject({ code: 'ABORTED' })
    expect([stopped, taken]).toEqual([true, []])
  })
})

describe('breaking off', () => {
  /** Sends these parts of an event stream, each on its own, then cuts the connection. */
  const cut = (parts: readonly string[]) => (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const next = (at: number): void => {
      if (at === parts.length) response.destroy()
      else response.write(parts[at], () => setImmediate(next, at + 1))
    }
    next(0)
  }

  it.each([
    ['between two events', ['data: 1\n\n', 'data: 2\n\n'], 'data: 1\n\ndata: 2\n\n'],
    ['inside an event', ['data: 1\n\nda', 'ta: 2\n'], 'data: 1\n\n'],
    ['before the first event', ['da'], ''],
  ])('ends an event stream that was cut %s with an event that holds the error', async (_name, parts, kept) => {
    await sockets.addScripted('a', cut(parts))
    await sockets.addSimulated('b')
    const response = await dispatcher().dispatch(completion({ stream: true }))
    const received = await text(response.body)
    expect(received.startsWith(`${kept}data: {"error":`)).toBe(true)
    const { error } = JSON.parse(received.slice(kept.length + 'data: '.length))
    expect(error).toEqual({
      message: expect.stringContaining('worker "a" broke off'),
      type: 'server_error',
      param: null,
      code: 'STREAM_INTERRUPTED',
    })
    expect(received.endsWith('\n\n')).toBe(true)
    expect(requests).toMatchObject([{ workerId: 'a', status: 200, outcome: 'failed' }])
    expect(leases()).toBe(0)
  })

  it('fails any other response that is cut', async () => {
    await sockets.addScripted('a', (_, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('half', () => response.destroy())
    })
    const response = await dispatcher().dispatch(completion({}))
    await expect(text(response.body)).rejects.toMatchObject({ code: 'STREAM_INTERRUPTED' })
    expect(leases()).toBe(0)
  })

  it.each(['signal', 'body'] as const)('aborts the work of the engine within a second when the client leaves by its %s', async how => {
    const server = await sockets.addSimulated('a')
    const controller = new AbortController()
    const response = await dispatcher().dispatch(completion({ stream: true, max_tokens: 5000 }, { signal: controller.signal }))
    const reader = response.body.getReader()
    await reader.read()
    expect(server.engine.stats().runningRequests).toBe(1)
    if (how === 'body') await reader.cancel()
    else {
      controller.abort()
      await expect(
        (async () => {
          while (!(await reader.read()).done);
        })(),
      ).rejects.toMatchObject({ code: 'ABORTED' })
    }
    expect(leases()).toBe(0)
    await until(() => server.engine.stats().runningRequests === 0, 'the engine to abort', 1000)
    expect(requests).toMatchObject([{ outcome: 'cancelled' }])
  })

  it('takes no lease for a client that left before a worker was chosen', async () => {
    await sockets.addSimulated('a')
    const taken: unknown[] = []
    sockets.fleet.on('lease', change => taken.push(change))
    const aborted = AbortSignal.abort()
    await expect(dispatcher().dispatch(completion({}, { signal: aborted }))).rejects.toMatchObject({ code: 'ABORTED' })
    await new Promise(resolve => setImmediate(resolve))
    expect(taken).toEqual([])
  })

  it('moves a request that a drain ends before its first byte', async () => {
    await sockets.addScripted('slow', () => {})
    const answer = dispatcher().dispatch(completion({}))
    await until(() => leases() === 1, 'the request to arrive')
    await sockets.addSimulated('b')
    const report = await sockets.fleet.drain('slow', { deadlineMs: 10, onDeadline: 'abort' })
    expect(report).toMatchObject({ aborted: 1, finished: 0 })
    const response = await answer
    expect(response.headers['x-kvfleet-worker']).toBe('b')
    await text(response.body)
  })

  it('sends nothing to a worker that is removed as soon as its lease is taken', async () => {
    let arrived = 0
    await sockets.addScripted('a', (_, response) => {
      arrived++
      response.end()
    })
    const removals: Promise<unknown>[] = []
    sockets.fleet.on('lease', ({ lease, state }) => {
      if (state === 'taken' && lease.worker.id === 'a') removals.push(sockets.fleet.remove('a', { force: true }))
    })
    await sockets.addScripted('b', (_, response) => response.end('b'))
    const response = await dispatcher().dispatch(completion({}))
    expect(response.headers['x-kvfleet-worker']).toBe('b')
    expect(await text(response.body)).toBe('b')
    await Promise.all(removals)
    expect([removals.length, arrived, leases()]).toEqual([1, 0, 0])
  })

  it('tells the client of a stream that a drain ends', async () => {
    await sockets.addSimulated('a')
    const response = await dispatcher().dispatch(completion({ stream: true, max_tokens: 5000 }))
    await sockets.fleet.drain('a', { deadlineMs: 30, onDeadline: 'abort' })
    const received = await text(response.body)
    expect(JSON.parse(received.slice(received.lastIndexOf('data: ') + 6)).error).toMatchObject({
      code: 'DRAIN_DEADLINE',
      type: 'server_error',
    })
    expect(requests).toMatchObject([{ outcome: 'aborted' }])
  })

  it('ends what is under way when it is closed', async () => {
    await sockets.addSimulated('a')
    const dispatch = dispatcher()
    const response = await dispatch.dispatch(completion({ stream: true, max_tokens: 5000 }))
    await dispatch.close()
    expect(await text(response.body)).toContain('"code":"CLOSED"')
    await expect(dispatch.dispatch(completion({}))).rejects.toMatchObject({ code: 'CLOSED' })
    expect(leases()).toBe(0)
  })
})

describe('refusing', () => {
  it('tells a model that nobody serves from workers that take no requests', async () => {
    await sockets.addSimulated('a')
    const dispatch = dispatcher()
    await expect(dispatch.dispatch(completion({ model: 'other' }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      details: { openaiCode: 'model_not_found' },
    })
    sockets.fleet.cordon('a')
    await expect(dispatch.dispatch(completion({}))).rejects.toMatchObject({ code: 'ROUTE_NO_WORKER', retryable: true })
    await expect(dispatch.dispatch(completion({ model: 'other' }))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await sockets.fleet.remove('a')
    await expect(dispatch.dispatch(completion({}))).rejects.toMatchObject({ code: 'ROUTE_NO_WORKER' })
    expect(requests.map(({ status, workerId }) => [status, workerId])).toEqual([
      [404, undefined],
      [503, undefined],
      [404, undefined],
      [503, undefined],
    ])
  })

  it.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['nothing', undefined],
  ])('refuses a completion whose body is %s', async (_name, body) => {
    await sockets.addSimulated('a')
    const { body: _, ...request } = completion({})
    const attempt = dispatcher().dispatch(body === undefined ? request : { ...request, body })
    await expect(attempt).rejects.toMatchObject({ code: 'REQUEST_INVALID', details: { field: 'body' } })
  })

  it('blames the client, not the worker, for what cannot be sent', async () => {
    await sockets.addSimulated('a')
    const outcomes: unknown[] = []
    sockets.fleet.on('lease', ({ outcome }) => outcome && outcomes.push(outcome))
    const attempt = dispatcher().dispatch(completion({}, { headers: { 'content-type': 'application/json', 'a b': 'c' } }))
    await expect(attempt).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
    expect(outcomes).toEqual(['cancelled'])
  })

  it('refuses options that do not fit', () => {
    const router = createRouter({ fleet: sockets.fleet, policy: roundRobin() })
    expect(() => createDispatcher({ router, retrys: 1 } as never)).toThrow('did you mean "retries"?')
    expect(() => createDispatcher({ router: {} } as never)).toThrow('expected a Router')
    expect(() => createDispatcher({ router, retries: -1 })).toThrow('retries: expected 0 or more')
  })
})
