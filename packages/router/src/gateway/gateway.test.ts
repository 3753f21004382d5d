import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { vllm } from '@kvfleet/core'
import { startSimulatedEngineProcess } from '@kvfleet/core/simulated-engine/serve'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRouter } from '../create-router.js'
import { roundRobin } from '../policies/round-robin.js'
import { quickProfile, SocketFleet, until } from '../testing/socket-fleet.js'
import { createGateway } from './create-gateway.js'
import type { Gateway, GatewayOptions } from './gateway.js'

let sockets: SocketFleet
beforeEach(() => {
  sockets = new SocketFleet()
})
afterEach(() => sockets[Symbol.asyncDispose]())

async function gateway(options: Omit<GatewayOptions, 'router'> = {}): Promise<Gateway> {
  const router = createRouter({ fleet: sockets.fleet, policy: roundRobin() })
  const created = await createGateway({ router, ...options }).listen({ port: 0 })
  sockets.defer(() => created.close({ graceMs: 0 }))
  return created
}

const completion = (fields: object = {}) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'm', prompt: 'hi', max_tokens: 3, ...fields }),
})
const leases = () => sockets.fleet.list().reduce((sum, worker) => sum + worker.leases, 0)

describe('routes', () => {
  it('serves completions, chats, tokenization and the list of models', async () => {
    await sockets.addSimulated('a')
    const { url } = await gateway()
    const whole = await fetch(`${url}/v1/completions`, completion())
    expect(whole.headers.get('x-kvfleet-worker')).toBe('a')
    expect(whole.headers.get('x-request-id')).toMatch(/^req-[0-9a-z]+-[0-9a-z]+$/)
    expect(await whole.json()).toMatchObject({ usage: { completion_tokens: 3 } })
    const streamed = await fetch(`${url}/v1/chat/completions`, completion({ messages: [{ role: 'user', content: 'hi' }], stream: true }))
    expect(streamed.headers.get('content-type')).toMatch('text/event-stream')
    expect((await streamed.text()).endsWith('data: [DONE]\n\n')).toBe(true)
    const tokens = await fetch(`${url}/tokenize`, completion())
    expect(await tokens.json()).toMatchObject({ count: 1 })
    const models = await fetch(`${url}/v1/models`)
    expect(await models.json()).toMatchObject({ object: 'list', data: [{ id: 'm', object: 'model', owned_by: 'kvfleet' }] })
    expect(leases()).toBe(0)
  })

  it('passes other paths under /v1 through and knows no others', async () => {
    await sockets.addScripted('a', (incoming, response) => response.end(`${incoming.method} ${incoming.url}`))
    const { url } = await gateway()
    const passed = await fetch(`${url}/v1/audio/speech?x=1`, { method: 'PUT', body: 'not JSON' })
    expect(await passed.text()).toBe('PUT /v1/audio/speech?x=1')
    const dotted = await new Promise<number | undefined>((resolve, reject) => {
      // fetch would resolve the path by itself.
      httpRequest(url!, { path: '/v1/%2E./reset_prefix_cache', method: 'POST' }, ({ statusCode }) => resolve(statusCode))
        .on('error', reject)
        .end()
    })
    expect(dotted).toBe(404)
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/v2/x'],
      ['POST', '/healthz'],
      ['GET', '/workers'],
    ] as const) {
      const unknown = await fetch(`${url}${path}`, { method })
      expect(unknown.status).toBe(404)
      expect(await unknown.json()).toEqual({
        error: { message: `no route ${method} ${path}`, type: 'invalid_request_error', param: null, code: 'NOT_FOUND' },
      })
    }
  })

  it('answers bad bodies, unknown models and missing workers in the shape of OpenAI', async () => {
    await sockets.addSimulated('a')
    const { url } = await gateway({ maxBodyBytes: 1000 })
    const send = async (init: RequestInit) => {
      const response = await fetch(`${url}/v1/completions`, init)
      return [response.status, ((await response.json()) as { error: object }).error, response.headers.get('retry-after')]
    }
    const invalid = 'invalid_request_error'
    expect(await send({ ...completion(), body: '{' })).toEqual([
      400,
      { message: 'body: expected JSON', type: invalid, param: 'body', code: 'REQUEST_INVALID' },
      null,
    ])
    expect(await send({ ...completion(), body: 'x'.repeat(1001) })).toEqual([
      413,
      { message: 'body: expected at most 1000 bytes', type: invalid, param: 'body', code: 'REQUEST_INVALID' },
      null,
    ])
    // Without a content-length: counted as it comes.
    const chunked = ReadableStream.from([new Uint8Array(600), new Uint8Array(600)])
    expect((await send({ ...completion(), body: chunked, duplex: 'half' } as RequestInit))[0]).toBe(413)
    expect(await send(completion({ model: 'x' }))).toEqual([
      404,
      expect.objectContaining({ code: 'model_not_found', param: 'model' }),
      null,
    ])
    const named = await fetch(`${url}/v1/completions`, { ...completion({ model: 'x' }), headers: { 'x-request-id': 'mine' } })
    expect(named.headers.get('x-request-id')).toBe('mine')
    await named.text()
    expect((await fetch(`${url}/v1/completions`, { method: 'OPTIONS' })).status).not.toBe(400)
    sockets.fleet.cordon('a')
    expect(await send(completion())).toEqual([503, expect.objectContaining({ code: 'ROUTE_NO_WORKER', type: 'server_error' }), '1'])
  })

  it('tells that it lives, and whether it is ready', async () => {
    const created = await gateway()
    const status = async (path: string) => (await fetch(`${created.url}${path}`)).status
    expect([await status('/healthz'), await status('/readyz')]).toEqual([200, 503])
    await sockets.addSimulated('a')
    expect(await status('/readyz')).toBe(200)
    sockets.fleet.cordon('a')
    expect(await status('/readyz')).toBe(503)
  })

  it('shows its metrics', async () => {
    await sockets.addSimulated('a')
    const { url } = await gateway()
    await (await fetch(`${url}/v1/completions`, completion())).text()
    const page = await fetch(`${url}/metrics`)
    expect(page.headers.get('content-type')).toMatch('text/plain')
    expect(await page.text()).toContain('kvfleet_requests_total{worker="a",outcome="completed"} 1\n')
    const without = await gateway({ metrics: false })
    const missing = await fetch(`${without.url}/metrics`)
    expect(missing.status).toBe(501)
    expect(await missing.text()).toContain('prom-client')
  })
})

describe('clients', () => {
  it('cancels the work of the engine when a client leaves', async () => {
    const server = await sockets.addSimulated('a')
    const { url } = await gateway()
    const controller = new AbortController()
    const response = await fetch(`${url}/v1/completions`, { ...completion({ stream: true, max_tokens: 5000 }), signal: controller.signal })
    await response.body?.getReader().read()
    expect(server.engine.stats().runningRequests).toBe(1)
    controller.abort()
    await until(() => server.engine.stats().runningRequests === 0 && leases() === 0, 'the engine to abort', 1000)
  })

  it('cancels everything that a pipelining client asked for when it leaves', async () => {
    const server = await sockets.addSimulated('a')
    const { url } = await gateway()
    const socket = connect(Number(new URL(url as string).port), '127.0.0.1')
    const body = completion({ stream: true, max_tokens: 5000 }).body
    const request = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    socket.write(request.repeat(3))
    await until(() => server.engine.stats().runningRequests === 3 && leases() === 3, 'all three to run', 5000)
    socket.destroy()
    await until(() => server.engine.stats().runningRequests === 0 && leases() === 0, 'the engine to abort', 1000)
  })

  it('holds a slow client’s stream back instead of the memory', async () => {
    let written = 0
    const total = 24 * 1024 * 1024
    await sockets.addScripted('a', (_, response) => {
      const more = () => {
        while (written < total && !response.destroyed) {
          written += 65_536
          if (!response.write(Buffer.alloc(65_536, 'x'))) return response.once('drain', more)
        }
        response.end()
      }
      more()
    })
    const { url } = await gateway()
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest(`${url}/v1/completions`, completion(), resolve).on('error', reject).end(completion().body)
    })
    let before = -1
    await until(async () => {
      const still = before === written
      before = written
      await new Promise(resolve => setTimeout(resolve, 50))
      return still
    }, 'the engine to be held back')
    expect(written).toBeLessThan(total / 2)
    let received = 0
    for await (const chunk of response) received += chunk.length
    expect(received).toBe(total)
  })

  it('sends the head of a stream before its first token', async () => {
    let answer = (_: string) => {}
    await sockets.addScripted('a', (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      answer = text => response.end(text)
    })
    const { url } = await gateway()
    const response = await fetch(`${url}/v1/completions`, completion({ stream: true }))
    expect(response.status).toBe(200)
    answer('data: late\n\n')
    expect(await response.text()).toBe('data: late\n\n')
  })

  it('outlives a client that sends half a request', async () => {
    await sockets.addSimulated('a')
    const { url } = await gateway()
    const socket = connect(Number(new URL(url!).port), '127.0.0.1')
    await new Promise<void>(resolve =>
      socket.write('POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf', () => resolve()),
    )
    socket.destroy()
    expect((await fetch(`${url}/v1/completions`, completion())).status).toBe(200)
    expect(leases()).toBe(0)
  })
})

it('tells the client when the machine of its worker dies, and serves the next one elsewhere', async () => {
  const engine = await startSimulatedEngineProcess({ profile: quickProfile, blockSize: 16, kvBlocks: 8192, model: 'm', kvEvents: false })
  sockets.defer(() => engine.close())
  await sockets.fleet.add({ id: 'mortal', url: engine.url, engine: vllm() })
  const { url } = await gateway()
  const response = await fetch(`${url}/v1/completions`, completion({ stream: true, max_tokens: 5000 }))
  expect(response.headers.get('x-kvfleet-worker')).toBe('mortal')
  engine.kill('SIGKILL')
  const events = (await response.text()).trimEnd().split('\n\n')
  expect(JSON.parse(events.at(-1)!.slice('data: '.length))).toEqual({
    error: {
      message: expect.stringContaining('worker "mortal" broke off its response'),
      type: 'server_error',
      param: null,
      code: 'STREAM_INTERRUPTED',
    },
  })
  for (const event of events.slice(0, -1)) expect(() => JSON.parse(event.slice('data: '.length))).not.toThrow()
  await sockets.addSimulated('next')
  const next = await fetch(`${url}/v1/completions`, completion())
  expect([next.status, next.headers.get('x-kvfleet-worker')]).toEqual([200, 'next'])
})

describe('listening and closing', () => {
  it('says which address is taken, and leaves nothing open', async () => {
    const { url } = await gateway()
    const port = Number(new URL(url!).port)
    const router = createRouter({ fleet: sockets.fleet, policy: roundRobin() })
    const second = createGateway({ router })
    await expect(second.listen({ port })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: `gateway: cannot listen on 127.0.0.1:${port}: the port is in use`,
      details: { host: '127.0.0.1', port },
    })
    const third = createGateway({ router, admin: { port } })
    await expect(third.listen({ port: 0 })).rejects.toMatchObject({ code: 'LISTEN_FAILED', message: expect.stringContaining('admin API') })
    await expect(fetch(`${third.url}/healthz`)).rejects.toThrow()
  })

  it('goes on listening when it is told to listen again', async () => {
    const created = await gateway()
    await expect(created.listen({ port: 0 })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining('it listens already'),
    })
    expect((await fetch(`${created.url}/healthz`)).status).toBe(200)
  })

  it('refuses options that do not fit', async () => {
    const router = createRouter({ fleet: sockets.fleet, policy: roundRobin() })
    expect(() => createGateway({ router, maxBodyByte: 1 } as never)).toThrow('did you mean "maxBodyBytes"?')
    expect(() => createGateway({ router, dispatch: { retrie: 1 } } as never)).toThrow('did you mean "retries"?')
    await expect(createGateway({ router }).listen({ port: 70_000 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })

  it('finishes what is in flight, and nothing else', async () => {
    await sockets.addSimulated('a')
    const created = await gateway()
    const { url } = created
    const response = await fetch(`${url}/v1/completions`, completion({ stream: true, max_tokens: 100 }))
    const closed = created.close()
    await expect(fetch(`${url}/healthz`)).rejects.toThrow()
    expect((await response.text()).endsWith('data: [DONE]\n\n')).toBe(true)
    await closed
    expect(leases()).toBe(0)
  })

  it('tells streams that are left after the grace', async () => {
    await sockets.addSimulated('a')
    const created = await gateway()
    const response = await fetch(`${created.url}/v1/completions`, completion({ stream: true, max_tokens: 5000 }))
    await created.close({ graceMs: 20 })
    expect(await response.text()).toContain('"code":"CLOSED"')
    expect(leases()).toBe(0)
  })

  it('can be closed before it listens, and twice', async () => {
    const router = createRouter({ fleet: sockets.fleet, policy: roundRobin() })
    const created = createGateway({ router })
    await created.close()
    await created.close()
    await expect(created.listen({ port: 0 })).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
