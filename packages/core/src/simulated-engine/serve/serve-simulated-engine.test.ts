import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Dealer } from 'zeromq'
import { vllmBlockHashes } from '../../block-hashes/index.js'
import { systemClock } from '../../clock.js'
import { standInProfile } from '../../engine-profile.js'
import { vllm } from '../../engines/index.js'
import { vllmCodec } from '../../kv-events/index.js'
import { type ServeSimulatedEngineOptions, type SimulatedEngineServer, serveSimulatedEngine } from './index.js'

const base: ServeSimulatedEngineOptions = { profile: standInProfile, blockSize: 16, kvBlocks: 200, timeScale: 50, seed: 3 }

interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
  readonly prompt_tokens_details: { readonly cached_tokens: number } | null
}
interface Reply {
  readonly id: string
  readonly object: string
  readonly model: string
  readonly usage: Usage
  readonly prompt_token_ids?: number[] | null
  readonly choices: readonly {
    readonly text?: string
    readonly message?: { readonly role: string; readonly content: string }
    readonly delta?: { readonly role?: string; readonly content?: string }
    readonly finish_reason: string | null
    readonly token_ids?: number[] | null
    readonly prompt_token_ids?: number[] | null
  }[]
}

const ids = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index)

describe('the HTTP surface', () => {
  let server: SimulatedEngineServer
  beforeAll(async () => {
    server = await serveSimulatedEngine(base)
  })
  afterAll(() => server.close())

  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(server.url + path, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
  const complete = async (body: object) => (await (await post('/v1/completions', body)).json()) as Reply
  const stream = async (path: string, body: object) => {
    const response = await post(path, { ...body, stream: true })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const events = (await response.text()).split('\n\n').filter(event => event !== '')
    expect(events.every(event => event.startsWith('data: '))).toBe(true)
    expect(events.pop()).toBe('data: [DONE]')
    return events.map(event => JSON.parse(event.slice(6)) as Reply)
  }

  it('tells that it is well, its version and its model', async () => {
    expect((await fetch(`${server.url}/health`)).status).toBe(200)
    expect(await (await fetch(`${server.url}/version`)).json()).toEqual({ version: expect.any(String) })
    expect(await (await fetch(`${server.url}/v1/models`)).json()).toMatchObject({
      object: 'list',
      data: [{ id: 'simulated', object: 'model', max_model_len: 3200 }],
    })
  })

  it('completes ids and tells what it found in its cache', async () => {
    const prompt = ids(100, 40)
    const first = await complete({ prompt, max_tokens: 5, return_token_ids: true })
    expect(first).toMatchObject({
      object: 'text_completion',
      model: 'simulated',
      usage: { prompt_tokens: 40, completion_tokens: 5, total_tokens: 45, prompt_tokens_details: { cached_tokens: 0 } },
      choices: [{ finish_reason: 'length', prompt_token_ids: prompt }],
    })
    expect(first.choices[0]?.token_ids).toHaveLength(5)
    expect(first.choices[0]?.text).toBe(first.choices[0]?.token_ids?.map(id => ` w${id}`).join(''))
    const again = await complete({ prompt: [prompt], max_tokens: 5 })
    expect(again.usage.prompt_tokens_details).toMatchObject({ cached_tokens: 32 })
    expect(again.choices[0]).toMatchObject({ text: first.choices[0]?.text, token_ids: null, prompt_token_ids: null })
    expect((await complete({ prompt, cache_salt: 'other' })).usage).toMatchObject({
      completion_tokens: 16,
      prompt_tokens_details: { cached_tokens: 0 },
    })
  })

  it('streams a token an event, with ids, usage and the reason of the end where vLLM puts them', async () => {
    const prompt = ids(300, 20)
    const whole = await complete({ prompt, max_tokens: 4, return_token_ids: true })
    const chunks = await stream('/v1/completions', {
      prompt,
      max_tokens: 4,
      return_token_ids: true,
      stream_options: { include_usage: true },
    })
    const usage = chunks.pop()
    expect(usage).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 20, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 16 } },
    })
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason)).toEqual([null, null, null, 'length'])
    expect(chunks.map(({ choices }) => choices[0]?.prompt_token_ids)).toEqual([prompt, null, null, null])
    expect(chunks.flatMap(({ choices }) => choices[0]?.token_ids)).toEqual(whole.choices[0]?.token_ids)
    expect(chunks.map(({ choices }) => choices[0]?.text).join('')).toBe(whole.choices[0]?.text)
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
  })

  it('chats: the role first, and a conversation that carries an answer has its ids', async () => {
    const messages = [{ role: 'user', content: 'Where do tokens go?' }]
    const chunks = await stream('/v1/chat/completions', { messages, max_completion_tokens: 6, return_token_ids: true })
    expect(chunks[0]).toMatchObject({ object: 'chat.completion.chunk', choices: [{ delta: { role: 'assistant', content: '' } }] })
    expect(chunks[0]?.prompt_token_ids).not.toHaveLength(0)
    const answer = chunks.slice(1).map(({ choices }) => choices[0]?.delta?.content)
    expect(answer).toHaveLength(6)
    const answerIds = chunks.slice(1).flatMap(({ choices }) => choices[0]?.token_ids as number[])
    const next = [...messages, { role: 'assistant', content: answer.join('') }, { role: 'user', content: 'And then?' }]
    const reply = (await (await post('/v1/chat/completions', { messages: next, max_tokens: 2, return_token_ids: true })).json()) as Reply
    expect(reply).toMatchObject({ object: 'chat.completion', choices: [{ message: { role: 'assistant' }, finish_reason: 'length' }] })
    const before = [...(chunks[0]?.prompt_token_ids ?? []), ...answerIds]
    expect(reply.prompt_token_ids?.slice(0, before.length)).toEqual(before)
    const { tokens, count } = (await (await post('/tokenize', { messages: next })).json()) as { tokens: number[]; count: number }
    expect(tokens).toEqual(reply.prompt_token_ids)
    expect(count).toBe(tokens.length)
  })

  it('ends a chat without a limit by itself', async () => {
    const reply = (await (await post('/v1/chat/completions', { messages: [{ role: 'user', content: 'hi' }] })).json()) as Reply
    expect(reply).toMatchObject({ usage: { completion_tokens: 128 }, choices: [{ finish_reason: 'stop' }] })
  })

  it('accepts fields it does not know, and keeps the id of a request', async () => {
    const response = await post('/v1/completions', { prompt: 'Hello', temperature: 0.5, seed: 1, user: 'me' }, { 'x-request-id': 'mine' })
    expect(((await response.json()) as Reply).id).toBe('cmpl-mine')
    expect(response.headers.get('x-request-id')).toBe('mine')
  })

  it.each<[string, string, unknown, number, object]>([
    ['what is not JSON', '/v1/completions', '{"prompt":', 400, { type: 'BadRequestError' }],
    ['several answers', '/v1/completions', { prompt: 'a', n: 2 }, 400, { type: 'BadRequestError', param: 'n' }],
    ['several prompts', '/v1/completions', { prompt: ['a', 'b'] }, 400, { param: 'prompt' }],
    ['an empty prompt', '/v1/completions', { prompt: [] }, 400, { param: 'prompt' }],
    ['half a token', '/v1/completions', { prompt: [1.5] }, 400, { param: 'prompt' }],
    ['no output', '/v1/completions', { prompt: 'a', max_tokens: 0 }, 400, { param: 'max_tokens' }],
    ['too long a request', '/v1/completions', { prompt: ids(0, 3000), max_tokens: 201 }, 400, { param: 'input_tokens' }],
    ['a chat without messages', '/v1/chat/completions', {}, 400, { param: 'messages' }],
    [
      'another model',
      '/v1/completions',
      { prompt: 'a', model: 'other' },
      404,
      { type: 'NotFoundError', message: expect.stringContaining('other') },
    ],
    ['another route', '/v1/embeddings', {}, 404, { code: 404 }],
    ['another method', '/metrics', {}, 405, { code: 405 }],
  ])('refuses %s in the shape of vLLM', async (_, path, body, status, error) => {
    const response = await post(path, body)
    expect(response.status).toBe(status)
    expect(await response.json()).toEqual({
      error: { message: expect.any(String), type: expect.any(String), code: status, param: null, ...error },
    })
  })

  it('frees what a client that went away had taken', async () => {
    const before = server.engine.stats()
    const request = httpRequest(`${server.url}/v1/completions`, { method: 'POST' })
    request.end(JSON.stringify({ prompt: ids(900, 100), max_tokens: 2000, stream: true }))
    const [response] = await once(request, 'response')
    await once(response, 'data')
    expect(server.engine.stats()).toMatchObject({ runningRequests: 1 })
    request.destroy()
    await eventually(() => server.engine.stats().runningRequests === 0)
    await eventually(() => server.engine.stats().kvUsage === 0)
    expect(server.engine.stats().completedRequests).toBe(before.completedRequests)
  })

  it('streams to HTTP/1.0 without chunks', async () => {
    const socket = connect(server.port, '127.0.0.1')
    const body = JSON.stringify({ prompt: 'x', max_tokens: 3, stream: true })
    socket.write(`POST /v1/completions HTTP/1.0\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    const [, events = ''] = text.split('\r\n\r\n')
    expect(events.split('\n\n').filter(event => event !== '')).toHaveLength(4)
    expect(events.startsWith('data: ')).toBe(true)
  })
})

describe('for the adapter of vLLM', () => {
  it('is a vLLM', async () => {
    await using server = await serveSimulatedEngine(base)
    const { url } = server
    const connection = { url, headers: {}, fetch, clock: systemClock, signal: new AbortController().signal }
    const adapter = vllm()
    await adapter.health(connection)
    expect(await adapter.describe?.(connection)).toEqual({
      version: '0.33.0',
      models: ['simulated'],
      blockSize: 16,
      dataParallelRanks: 1,
      capacity: { kvBlocks: 200 },
    })
    expect(await adapter.load?.(connection)).toMatchObject([{ runningRequests: 0, waitingRequests: 0, kvUsage: 0, awake: true }])
    expect(await adapter.kvEventEndpoints?.(connection)).toMatchObject([
      {
        rank: 0,
        wire: 'vllm',
        endpoint: `tcp://127.0.0.1:${server.kvEventsPort}`,
        replayEndpoint: `tcp://127.0.0.1:${server.replayPort}`,
        topic: '',
      },
    ])
    expect(await adapter.tokenize?.(connection, { kind: 'text', model: 'simulated', text: ' w12 w7' })).toEqual(Uint32Array.of(12, 7))
  })
})

describe('options', () => {
  it.each<[string, object, string]>([
    ['a length beyond the KV room', { maxModelLength: 3201 }, 'maxModelLength'],
    ['an unknown key of kvEvents', { kvEvents: { ports: 1 } }, 'ports'],
    ['no speed', { timeScale: 0 }, 'timeScale'],
    ['jumps', { jump: true }, 'jump'],
  ])('with %s are refused', async (_, wrong, named) => {
    await expect(serveSimulatedEngine({ ...base, ...wrong })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(named),
    })
  })
})

describe('prompt token details', () => {
  it('are null when switched off, as without the flag of vLLM', async () => {
    await using server = await serveSimulatedEngine({ ...base, promptTokensDetails: false, kvEvents: false })
    const response = await fetch(`${server.url}/v1/completions`, { method: 'POST', body: JSON.stringify({ prompt: 'a' }) })
    expect(((await response.json()) as Reply).usage.prompt_tokens_details).toBeNull()
    expect(server.kvEventsPort).toBeUndefined()
    expect(await (await fetch(`${server.url}/kv_event_sources`)).json()).toEqual({})
  })
})

describe('time', () => {
  it('runs as many times faster as asked', async () => {
    const profile = { ...standInProfile, stepBaseMs: 200, decodeMsPerSequence: 0, prefillMsPerToken: 0 }
    await using server = await serveSimulatedEngine({ ...base, profile, timeScale: 10, kvEvents: false })
    const startedAt = systemClock.now()
    await (await fetch(`${server.url}/v1/completions`, { method: 'POST', body: JSON.stringify({ prompt: 'a', max_tokens: 20 }) })).text()
    const tookMs = systemClock.now() - startedAt
    // 20 steps of 20 ms; late timers do not add up.
    expect(tookMs).toBeGreaterThan(395)
    expect(tookMs).toBeLessThan(800)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    const sum = Number(/inter_token_latency_seconds_sum\{.*\} (\S+)/.exec(metrics)?.[1])
    expect(sum).toBeCloseTo(19 * 0.02, 3)
  })
})

describe('KV events', () => {
  it('are announced at /kv_event_sources, in the array generation when asked', async () => {
    await using server = await serveSimulatedEngine({ ...base, kvEvents: { wireGeneration: 'array', topic: 'kv' } })
    expect(await (await fetch(`${server.url}/kv_event_sources`)).json()).toEqual({
      0: {
        enable_kv_cache_events: true,
        publisher: 'zmq',
        endpoint: `tcp://*:${server.kvEventsPort}`,
        replay_endpoint: `tcp://*:${server.replayPort}`,
        buffer_steps: 10_000,
        hwm: 100_000,
        max_queue_size: 100_000,
        topic: 'kv',
      },
    })
    const dealer = new Dealer({ linger: 0 })
    try {
      dealer.connect(`tcp://127.0.0.1:${server.replayPort}`)
      const prompt = ids(5, 33)
      await fetch(`${server.url}/v1/completions`, { method: 'POST', body: JSON.stringify({ prompt, max_tokens: 1 }) })
      await dealer.send(['', Buffer.alloc(8)])
      const [, , , payload] = await dealer.receive()
      const holder = { kind: 'worker', workerId: 'a', incarnation: 1, rank: 0 } as const
      const tokens = Uint32Array.from(prompt.slice(0, 32))
      expect(vllmCodec().decode(payload as Buffer, { holder, model: 'simulated' })).toMatchObject({
        malformed: [],
        events: [{ event: { type: 'stored', holder, tokens, hashes: vllmBlockHashes(tokens, 16), parent: undefined } }],
      })
    } finally {
      dealer.close()
    }
  })
})

/** Polls without a deadline of its own: the test's applies. */
async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setImmediate(resolve))
}
