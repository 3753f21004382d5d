import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRouter } from '../../create-router.js'
import { kvAware } from '../../policies/kv-aware.js'
import { roundRobin } from '../../policies/round-robin.js'
import { freePort, SocketFleet, until } from '../../testing/socket-fleet.js'
import { createGateway } from '../create-gateway.js'
import type { Gateway } from '../gateway.js'
import { createAdmin } from './create-admin.js'

let sockets: SocketFleet
let gateway: Gateway

async function start(options: ConstructorParameters<typeof SocketFleet>[0] = {}, policy = roundRobin()): Promise<void> {
  sockets = new SocketFleet(options)
  const router = createRouter({ fleet: sockets.fleet, policy })
  gateway = await createGateway({ router, admin: { port: 0 } }).listen({ port: 0 })
  sockets.defer(() => gateway.close({ graceMs: 0 }))
}
beforeEach(() => start())
afterEach(() => sockets[Symbol.asyncDispose]())

interface Answer {
  readonly status: number
  readonly body: { readonly [key: string]: unknown } & {
    readonly phase?: string
    readonly error?: { code: string; message: string; param: string | null }
  }
}

async function call(method: string, path: string, body?: unknown): Promise<Answer> {
  const init = body === undefined ? { method } : { method, body: typeof body === 'string' ? body : JSON.stringify(body) }
  const response = await fetch(`${gateway.adminUrl}${path}`, init)
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}

const phase = async (id: string) => (await call('GET', `/workers/${id}`)).body.phase
const completion = (fields: object = {}) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'm', prompt: 'hi', max_tokens: 3, ...fields }),
})

describe('workers', () => {
  it('join in the background, are shown, and leave', async () => {
    const engine = await sockets.serve()
    const joined = await call('POST', '/workers', {
      id: 'a',
      url: engine.url,
      engine: 'vllm',
      labels: { rack: '1' },
      upstreamHeaders: { 'x-key': 'secret' },
    })
    expect(joined).toEqual({ status: 202, body: { id: 'a', phase: 'joining', leases: 0 } })
    await until(async () => (await phase('a')) === 'active', 'the worker to be active')
    const shown = await call('GET', '/workers/a')
    expect(shown.status).toBe(200)
    expect(shown.body).toMatchObject({
      id: 'a',
      url: engine.url,
      engine: 'vllm',
      role: 'aggregated',
      models: ['m'],
      phase: 'active',
      cordoned: false,
      leases: 0,
      incarnation: 1,
      blockSize: 16,
      labels: { rack: '1' },
      ranks: [{ rank: 0, inFlight: { requests: 0 } }],
    })
    expect(Date.parse(shown.body['readyAt'] as string)).toBeGreaterThan(0)
    expect(JSON.stringify(shown.body)).not.toContain('secret')
    expect((await call('GET', '/workers')).body).toEqual({ workers: [shown.body] })
    expect(await call('POST', '/workers', { id: 'a', url: engine.url, engine: 'vllm' })).toMatchObject({
      status: 409,
      body: { error: { code: 'WORKER_EXISTS' } },
    })

    expect(await call('DELETE', '/workers/a')).toMatchObject({ status: 202, body: { id: 'a', phase: 'draining' } })
    await until(async () => (await call('GET', '/workers/a')).status === 404, 'the worker to be gone')
    const gone = await call('GET', '/workers/a')
    expect(gone.body).toMatchObject({
      error: { code: 'WORKER_UNKNOWN' },
      departure: { reason: 'removed', drain: { finished: 0, aborted: 0 } },
    })
    expect((await call('POST', '/workers', { id: 'a', url: engine.url, engine: 'vllm' })).status).toBe(202)
    await until(async () => (await phase('a')) === 'active', 'the worker to be active again')
    expect((await call('GET', '/workers/a')).body['incarnation']).toBe(2)
  })

  it('that cannot join leave the reason behind', async () => {
    await sockets[Symbol.asyncDispose]()
    await start({ joinTimeoutMs: 50 })
    const spec = { id: 'dead', url: `http://127.0.0.1:${await freePort()}`, engine: 'vllm' }
    expect((await call('POST', '/workers', spec)).status).toBe(202)
    await until(async () => (await call('GET', '/workers/dead')).status === 404, 'the join to fail')
    expect((await call('GET', '/workers/dead')).body).toMatchObject({
      error: { code: 'WORKER_UNKNOWN', message: 'no worker "dead" is in the fleet' },
      departure: {
        reason: 'join-failed',
        code: 'WORKER_JOIN_TIMEOUT',
        message: expect.stringContaining('did not become ready within 50 ms'),
      },
    })
    expect((await call('GET', '/workers/never-seen')).body).not.toHaveProperty('departure')
  })

  it.each([
    ['POST', '/workers', '{', 400, 'REQUEST_INVALID', 'body: expected JSON'],
    ['POST', '/workers', { id: 'x', engine: 'vllm' }, 400, 'OPTION_INVALID', 'worker: url: expected "url", got undefined'],
    ['POST', '/workers', { id: 'x', url: 'http://127.0.0.1:1', engine: 'vlm' }, 400, 'OPTION_INVALID', 'did you mean "vllm"?'],
    [
      'POST',
      '/workers',
      { id: 'x y', url: 'http://127.0.0.1:1', engine: 'vllm' },
      400,
      'OPTION_INVALID',
      'fleet.add: id: expected 1 to 128',
    ],
    [
      'POST',
      '/workers',
      { id: 'x', url: 'http://127.0.0.1:1', engine: 'vllm', lables: {} },
      400,
      'OPTION_INVALID',
      'did you mean "labels"?',
    ],
    ['POST', '/workers/x/drain', undefined, 404, 'WORKER_UNKNOWN', 'no worker "x"'],
    ['POST', '/workers/x/cordon', undefined, 404, 'WORKER_UNKNOWN', 'no worker "x"'],
    ['DELETE', '/workers/x', undefined, 404, 'WORKER_UNKNOWN', 'no worker "x"'],
    ['DELETE', '/workers/x?force=perhaps', undefined, 400, 'OPTION_INVALID', 'force'],
    ['DELETE', '/workers/x?deadlineMs=&onDeadline=abort', undefined, 400, 'OPTION_INVALID', 'deadlineMs: expected a number'],
    ['POST', '/workers/x/drain', [], 400, 'OPTION_INVALID', 'expected a JSON object'],
    ['POST', '/workers', { id: '..', url: 'http://127.0.0.1:1', engine: 'vllm' }, 400, 'OPTION_INVALID', 'more than dots'],
    ['GET', '//', undefined, 404, 'NOT_FOUND', 'no route'],
    ['POST', '/workers/x/drain', { deadline: 1 }, 400, 'OPTION_INVALID', 'did you mean "deadlineMs"?'],
    ['POST', '/workers/x/drain', { deadlineMs: -1 }, 400, 'OPTION_INVALID', 'deadlineMs: expected 0 or more'],
    ['PATCH', '/workers/x', undefined, 404, 'NOT_FOUND', 'no route PATCH /workers/x'],
    ['GET', '/workers/x/y/z', undefined, 404, 'NOT_FOUND', 'no route'],
  ])('%s %s with %j is refused with %i', async (method, path, body, status, code, message) => {
    const answer = await call(method, path, body)
    expect(answer).toMatchObject({ status, body: { error: { code, message: expect.stringContaining(message) } } })
    expect(sockets.fleet.list()).toEqual([])
  })

  it('take no requests while cordoned', async () => {
    await sockets.addSimulated('a')
    expect(await call('POST', '/workers/a/cordon')).toMatchObject({ status: 200, body: { cordoned: true } })
    expect((await fetch(`${gateway.url}/v1/completions`, completion())).status).toBe(503)
    expect(await call('POST', '/workers/a/uncordon')).toMatchObject({ status: 200, body: { cordoned: false } })
    expect((await fetch(`${gateway.url}/v1/completions`, completion())).status).toBe(200)
  })

  it('report how their drain went', async () => {
    await sockets.addSimulated('a')
    const response = await fetch(`${gateway.url}/v1/completions`, completion({ stream: true, max_tokens: 5000 }))
    expect(await call('POST', '/workers/a/drain', { deadlineMs: 20, onDeadline: 'abort' })).toEqual({
      status: 202,
      body: { id: 'a', phase: 'draining', leases: 1 },
    })
    await until(async () => (await phase('a')) === 'drained', 'the drain to end')
    expect((await call('GET', '/workers/a')).body).toMatchObject({ leases: 0, drain: { finished: 0, aborted: 1, deadlinePassed: true } })
    expect(await response.text()).toContain('DRAIN_DEADLINE')
    expect((await call('POST', '/workers/a/drain')).status).toBe(202)
    expect((await call('DELETE', '/workers/a?force=true&deadlineMs=5')).status).toBe(202)
    await until(async () => (await call('GET', '/workers/a')).status === 404, 'the worker to be gone')
  })
})

it('names the policy and what it does without', async () => {
  await sockets[Symbol.asyncDispose]()
  await start({}, kvAware())
  expect(await call('GET', '/policy')).toEqual({
    status: 200,
    body: {
      name: 'kv-aware',
      filters: [],
      scorers: [{ name: 'expected-cost', weight: 1 }],
      picker: 'max-score',
      degradations: [{ code: 'no-kv-events' }, { code: 'no-tokens' }],
    },
  })
})

it('listens on an address of its own', async () => {
  const router = createRouter({ fleet: sockets.fleet, policy: roundRobin() })
  await using admin = await createAdmin({ router }).listen({ port: 0 })
  expect(admin.url).not.toBe(gateway.adminUrl)
  expect((await fetch(`${admin.url}/workers`)).status).toBe(200)
  expect((await fetch(`${gateway.url}/workers`)).status).toBe(404)
  expect(() => createAdmin({ router, port: 1 } as never)).toThrow('unknown option "port"')
})

it('loses none of 200 streams while workers are drained, replaced and removed', async () => {
  const engines = await Promise.all(['a', 'b', 'c'].map(id => sockets.addSimulated(id)))
  let ended = 0
  const stream = async (): Promise<string> => {
    const response = await fetch(`${gateway.url}/v1/completions`, completion({ stream: true, max_tokens: 40 }))
    const text = await response.text()
    ended++
    return `${response.status} ${text.match(/"text"/g)?.length} ${text.endsWith('data: [DONE]\n\n')}`
  }
  const results: Promise<string>[] = []
  const lane = async (): Promise<void> => {
    while (results.length < 200) {
      const result = stream()
      results.push(result)
      await result
    }
  }
  const lanes = Promise.all(Array.from({ length: 20 }, lane))
  await until(() => ended >= 20, 'streams to run')
  expect(await call('POST', '/workers/a/drain')).toMatchObject({ status: 202, body: { phase: 'draining' } })
  await until(async () => (await phase('a')) === 'drained', 'a to be drained')
  expect(engines[0]?.engine.stats().runningRequests).toBe(0)
  await call('POST', '/workers', { id: 'd', url: engines[0]?.url, engine: 'vllm' })
  await call('DELETE', '/workers/b')
  await lanes
  expect(new Set(await Promise.all(results))).toEqual(new Set(['200 40 true']))
  expect(results).toHaveLength(200)
  await until(() => sockets.fleet.list().every(({ leases }) => leases === 0), 'the last lease to end')
})
