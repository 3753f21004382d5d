import OpenAI, { APIError, APIUserAbortError } from 'openai'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createRouter } from '../create-router.js'
import { roundRobin } from '../policies/round-robin.js'
import { freePort, SocketFleet, scriptedEngine, until } from '../testing/socket-fleet.js'
import { createFleetFetch, type FleetFetch } from './fleet-fetch.js'

let sockets: SocketFleet
let fleetFetch: FleetFetch
let openai: OpenAI

beforeEach(() => {
  sockets = new SocketFleet()
  fleetFetch = createFleetFetch(createRouter({ fleet: sockets.fleet, policy: roundRobin() }))
  sockets.defer(() => fleetFetch.close())
  openai = new OpenAI({ apiKey: '-', baseURL: 'http://fleet/v1', fetch: fleetFetch })
})
afterEach(() => sockets[Symbol.asyncDispose]())

const messages = [{ role: 'user' as const, content: 'Where is my KV cache?' }]
const post = { method: 'POST', headers: { 'content-type': 'application/json' } }
const completion = (fields: object) => ({ ...post, body: JSON.stringify({ model: 'm', prompt: 'hi', max_tokens: 3, ...fields }) })

it("serves OpenAI's client: models, whole replies, streams", async () => {
  await sockets.addSimulated('a')
  await sockets.addSimulated('b', { model: 'org/other' })
  expect((await openai.models.list()).data).toMatchObject([{ id: 'm', object: 'model' }, { id: 'org/other' }])
  expect(await openai.models.retrieve('org/other')).toMatchObject({ id: 'org/other', owned_by: 'kvfleet' })
  const reply = await openai.chat.completions.create({ model: 'm', messages, max_tokens: 7 })
  expect(reply.usage?.completion_tokens).toBe(7)
  expect(reply.choices[0]?.message.content).toMatch(/^( w\d+){7}$/)
  const stream = await openai.chat.completions.create({ model: 'm', messages, max_tokens: 7, stream: true })
  let streamed = ''
  for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? ''
  expect(streamed).toBe(reply.choices[0]?.message.content)
  expect(sockets.fleet.list().map(({ leases }) => leases)).toEqual([0, 0])
})

it("raises OpenAI's own errors", async () => {
  await sockets.addSimulated('a')
  const unknown = openai.chat.completions.create({ model: 'nobody-has-it', messages })
  await expect(unknown).rejects.toMatchObject({ status: 404, code: 'model_not_found', param: 'model', type: 'invalid_request_error' })
  await expect(openai.models.retrieve('nobody-has-it')).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
  const refused = openai.chat.completions.create({ model: 'm', messages, max_tokens: -1 })
  await expect(refused).rejects.toMatchObject({ status: 400 })
})

it('lets the client ask again while no worker takes requests', async () => {
  await sockets.addSimulated('a')
  sockets.fleet.cordon('a')
  const refusal = await fleetFetch('http://fleet/v1/completions', completion({}))
  expect(refusal.status).toBe(503)
  expect(refusal.headers.get('retry-after')).toBe('1')
  expect(await refusal.json()).toEqual({
    error: { message: expect.stringContaining('a (cordoned)'), type: 'server_error', param: null, code: 'ROUTE_NO_WORKER' },
  })
  const reply = openai.completions.create({ model: 'm', prompt: 'hi' })
  sockets.fleet.uncordon('a')
  expect((await reply).choices).toHaveLength(1)
})

it('answers 502 when no worker can be reached', async () => {
  await sockets.fleet.add({ id: 'dead', url: `http://127.0.0.1:${await freePort()}`, engine: scriptedEngine })
  const response = await fleetFetch(new URL('http://fleet/v1/completions'), completion({}))
  expect(response.status).toBe(502)
  expect(await response.json()).toMatchObject({
    error: { code: 'DISPATCH_FAILED', message: 'no worker answered; tried dead (ECONNREFUSED)' },
  })
})

it('raises the error that ends a stream', async () => {
  await sockets.addSimulated('a')
  const stream = await openai.chat.completions.create({ model: 'm', messages, max_tokens: 5000, stream: true })
  const reading = (async () => {
    for await (const _ of stream);
  })()
  await sockets.engines.get('a')?.close()
  const error = await reading.catch(thrown => thrown)
  expect(error).toBeInstanceOf(APIError)
  expect(error).toMatchObject({ code: 'STREAM_INTERRUPTED' })
})

it("honours the client's abort before and during a response", async () => {
  const server = await sockets.addSimulated('a')
  const controller = new AbortController()
  const waiting = openai.chat.completions.create({ model: 'm', messages, max_tokens: 5000 }, { signal: controller.signal })
  await until(() => server.engine.stats().runningRequests === 1, 'the request to run')
  controller.abort()
  await expect(waiting).rejects.toBeInstanceOf(APIUserAbortError)
  await until(() => server.engine.stats().runningRequests === 0, 'the engine to abort', 1000)

  const stream = await openai.chat.completions.create({ model: 'm', messages, max_tokens: 5000, stream: true })
  for await (const _ of stream) break
  await until(() => server.engine.stats().runningRequests === 0, 'the engine to abort', 1000)
  expect(sockets.fleet.get('a')?.leases).toBe(0)
  const aborted = fleetFetch('http://fleet/v1/completions', { ...completion({}), signal: AbortSignal.abort() })
  await expect(aborted).rejects.toMatchObject({ name: 'AbortError' })
})

it("honours the client's abort while the request's body is read", async () => {
  const controller = new AbortController()
  const body = new ReadableStream({ pull: () => new Promise(() => {}) })
  const init = { ...post, body, duplex: 'half', signal: controller.signal } as RequestInit
  const waiting = fleetFetch('http://fleet/v1/completions', init)
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
})

it('answers 502 and ends the lease when the response fits no Response', async () => {
  let left = false
  await sockets.addScripted('a', (_, response) => {
    response.on('close', () => {
      left = true
    })
    response.writeHead(799, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
  })
  const response = await fleetFetch('http://fleet/v1/completions', completion({ stream: true }))
  expect(response.status).toBe(502)
  expect(await response.json()).toMatchObject({ error: { code: 'ENGINE_RESPONSE', message: expect.stringContaining('799') } })
  expect(sockets.fleet.get('a')?.leases).toBe(0)
  await until(() => left, 'the engine to be told')
})

it('takes a Request as fetch does', async () => {
  await sockets.addSimulated('a')
  const response = await fleetFetch(new Request('http://fleet/v1/completions', completion({ stream: true })))
  expect(response.headers.get('content-type')).toMatch('text/event-stream')
  expect(response.headers.get('x-kvfleet-worker')).toBe('a')
  expect(await response.text()).toMatch(/data: \[DONE\]\n\n$/)
  const none = await fleetFetch('http://fleet/health')
  expect([none.status, await none.text()]).toEqual([200, ''])
})
