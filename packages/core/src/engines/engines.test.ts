import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../clock.js'
import type { EngineAdapter, EngineConnection } from '../engine.js'
import { testEngineAdapter } from '../testing/engine-conformance.js'
import { memoryEngine } from '../testing/memory-engine.js'
import { llamacpp, openai, sglang, vllm } from './index.js'

const fixture = (name: string) => readFileSync(new URL(`../../test-fixtures/${name}`, import.meta.url), 'utf8')
/** Replies of the captured engine, by kind of record. */
const captured = (kind: string) =>
  JSON.parse(
    fixture('vllm-kv-events.jsonl')
      .split('\n')
      .find(line => line.includes(`"kind": "${kind}"`)) ?? '',
  ) as { reply: { tokens: number[] } }

type Answer = string | object | { readonly status: number } | ((body: unknown) => Answer)
type Answers = Readonly<Record<string, Answer>>

const servers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of servers.splice(0)) await close()
})

/** A server that replays answers; other paths are 404. */
async function serve(answers: Answers): Promise<{ url: string; close(): Promise<void>; requests: { path: string; body: unknown }[] }> {
  const requests: { path: string; body: unknown }[] = []
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request)
    const path = request.url ?? ''
    requests.push({ path, body })
    let answer = answers[path] ?? { status: 404 }
    if (typeof answer === 'function') answer = (answer as (body: unknown) => Answer)(body)
    if (typeof answer === 'string') return response.end(answer)
    if ('status' in answer && typeof answer.status === 'number') return response.writeHead(answer.status).end('{"error":"no"}')
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  let open = true
  const close = () =>
    new Promise<void>(resolve => {
      if (!open) return resolve()
      open = false
      server.closeAllConnections()
      server.close(() => resolve())
    })
  servers.push(close)
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close, requests }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString())
}

const connect = (url: string): EngineConnection => ({ url, headers: {}, fetch, clock: systemClock, signal: new AbortController().signal })

const models = (...ids: string[]) => ({
  object: 'list',
  data: ids.map(id => ({ id, object: 'model', owned_by: 'vllm', root: id, parent: null, max_model_len: 1024 })),
})

const vllmAnswers: Answers = {
  '/health': '',
  '/version': { version: '0.33.0' },
  '/v1/models': models('tiny'),
  '/metrics': fixture('vllm-metrics.txt'),
  '/tokenize': captured('tokenize').reply,
  '/kv_event_sources': {
    0: {
      enable_kv_cache_events: true,
      publisher: 'zmq',
      endpoint: 'tcp://*:5557',
      replay_endpoint: 'tcp://*:5657',
      buffer_steps: 10_000,
      hwm: 100_000,
      max_queue_size: 100_000,
      topic: '',
    },
  },
}

const sglangMetrics = (ranks: readonly string[]) =>
  [
    '# TYPE sglang:num_running_reqs gauge',
    ...ranks.flatMap((rank, index) => {
      const labels = `{engine_type="unified",model_name="m",pp_rank="0",tp_rank="0"${rank}}`
      return [
        `sglang:num_running_reqs${labels} ${3 + index}.0`,
        `sglang:num_queue_reqs${labels} ${index}.0`,
        `sglang:token_usage${labels} 0.2${index}`,
      ]
    }),
    'sglang:prompt_tokens_total{model_name="m"} 1000.0',
    'sglang:cached_tokens_total{model_name="m",cache_source="device"} 200.0',
    'sglang:cached_tokens_total{model_name="m",cache_source="host"} 50.0',
  ].join('\n')

const sglangAnswers: Answers = {
  '/health': '',
  '/v1/models': models('m'),
  '/server_info': {
    version: '0.5.23',
    model_path: 'm',
    page_size: 64,
    dp_size: 1,
    max_total_num_tokens: 65_000,
    internal_states: [{ effective_max_running_requests_per_dp: 128, memory_usage: { token_capacity: 65_000 } }],
    kv_events: {
      publisher: 'zmq',
      endpoint_host: '*',
      endpoint_port_base: 5557,
      replay_endpoint_port_base: null,
      topic: 'kv',
      block_size: 64,
      dp_size: 1,
    },
  },
  '/metrics': sglangMetrics(['']),
  '/tokenize': { tokens: [1, 2, 3], count: 3, max_model_len: 4096 },
}

const llamacppAnswers: Answers = {
  '/health': { status: 'ok' },
  '/v1/models': { object: 'list', data: [{ id: 'tiny.gguf', object: 'model', meta: { n_ctx_train: 4096 } }] },
  '/props': { default_generation_settings: { n_ctx: 4096 }, total_slots: 4, build_info: 'b11434-abc', chat_template: '' },
  '/metrics': [
    '# HELP llamacpp:requests_processing Number of requests processing.',
    'llamacpp:prompt_tokens_total 300',
    'llamacpp:prompt_tokens_cached_total 100',
    'llamacpp:requests_processing 1',
    'llamacpp:requests_deferred 2',
    '',
  ].join('\n'),
  '/apply-template': { prompt: '<user>hi' },
  '/tokenize': { tokens: [1, 9, 4] },
}

describe('engine adapters', () => {
  const subjects: [create: () => EngineAdapter, answers: Answers][] = [
    [vllm, vllmAnswers],
    [sglang, sglangAnswers],
    [llamacpp, llamacppAnswers],
    [openai, { '/v1/models': models('any') }],
    [memoryEngine, {}],
  ]
  for (const [create, answers] of subjects) testEngineAdapter({ create: () => create(), start: () => serve(answers) }, { it, expect })

  it.each([vllm, sglang, llamacpp])('takes an engine that is still loading for not healthy', async create => {
    const { url } = await serve({ '/health': { status: 503 } })
    await expect(create().health(connect(url))).rejects.toMatchObject({
      code: 'ENGINE_RESPONSE',
      retryable: true,
      details: { path: '/health', status: 503 },
    })
  })

  it('needs no more than a list of models of an OpenAI server', async () => {
    const { url } = await serve({ '/v1/models': models('any') })
    await expect(openai().health(connect(url))).resolves.toBeUndefined()
    expect(await openai().describe?.(connect(url))).toEqual({ models: ['any'] })
  })

  it('names the path and the system error of an engine that is gone', async () => {
    const { url, close } = await serve({})
    await close()
    await expect(openai().health(connect(url))).rejects.toMatchObject({
      code: 'ENGINE_UNREACHABLE',
      message: '/v1/models: ECONNREFUSED',
      retryable: true,
    })
  })
})

describe('the vLLM adapter', () => {
  const vllmWith = async (answers: Answers = {}) => {
    const { url, requests } = await serve({ ...vllmAnswers, ...answers })
    return { connection: connect(url), requests, port: new URL(url).port }
  }

  it('describes the captured engine', async () => {
    const { connection } = await vllmWith()
    expect(await vllm().describe?.(connection)).toEqual({
      version: '0.33.0',
      models: ['tiny'],
      blockSize: 32,
      dataParallelRanks: 1,
      capacity: { kvBlocks: 40 },
    })
  })

  it('reads the load of the captured engine', async () => {
    const { connection } = await vllmWith()
    const loads = await vllm().load?.(connection)
    expect(loads).toEqual([
      {
        runningRequests: 0,
        waitingRequests: 0,
        kvUsage: 0,
        prefixCacheQueries: 2106,
        prefixCacheHits: 224,
        awake: true,
        at: expect.any(Number),
      },
    ])
  })

  it('reads each rank by its label, in order of number', async () => {
    const rank = (engine: number) =>
      [
        `vllm:num_requests_running{engine="${engine}",model_name="m"} ${engine}`,
        `vllm:num_requests_waiting{engine="${engine}",model_name="m"} 1.0`,
        `vllm:kv_cache_usage_perc{engine="${engine}",model_name="m"} 0.5`,
        `vllm:engine_sleep_state{engine="${engine}",model_name="m",sleep_state="awake"} ${engine === 9 ? 0 : 1}.0`,
      ].join('\n')
    const { connection } = await vllmWith({ '/metrics': [rank(10), rank(9)].join('\n') })
    expect(await vllm().load?.(connection)).toMatchObject([
      { runningRequests: 9, waitingRequests: 1, kvUsage: 0.5, awake: false },
      { runningRequests: 10, awake: true },
    ])
    expect(await vllm().describe?.(connection)).toMatchObject({ dataParallelRanks: 2 })
  })

  it('names the metric that a page lacks', async () => {
    const { connection } = await vllmWith({ '/metrics': 'vllm:num_requests_running 1\n' })
    await expect(vllm().load?.(connection)).rejects.toMatchObject({
      code: 'ENGINE_RESPONSE',
      message: expect.stringContaining('vllm:num_requests_waiting'),
    })
  })

  it('connects to what each rank resolved to, on the host of the worker', async () => {
    const { connection } = await vllmWith({
      '/kv_event_sources': {
        10: { endpoint: 'tcp://10.0.0.7:6001', replay_endpoint: null, topic: 't' },
        8: { endpoint: 'tcp://*:5557', replay_endpoint: 'tcp://0.0.0.0:5657', topic: '' },
        9: { endpoint: 'tcp://[::]:5558', replay_endpoint: 'tcp://:::5658', topic: '' },
      },
    })
    expect(await vllm().kvEventEndpoints?.(connection)).toEqual([
      { rank: 0, wire: 'vllm', endpoint: 'tcp://127.0.0.1:5557', replayEndpoint: 'tcp://127.0.0.1:5657', topic: '' },
      { rank: 1, wire: 'vllm', endpoint: 'tcp://127.0.0.1:5558', replayEndpoint: 'tcp://127.0.0.1:5658', topic: '' },
      { rank: 2, wire: 'vllm', endpoint: 'tcp://10.0.0.7:6001', topic: 't' },
    ])
    const ipv6 = {
      ...connection,
      url: 'http://[::1]:8000',
      fetch: (url: string) => fetch(url.replace('http://[::1]:8000', connection.url)),
    }
    expect((await vllm().kvEventEndpoints?.(ipv6))?.[0]?.endpoint).toBe('tcp://[::1]:5557')
  })

  it('takes a bare list of sources as well', async () => {
    const { connection } = await vllmWith({
      '/kv_event_sources': [
        { data_parallel_rank: 1, endpoint: 'tcp://*:5558' },
        { data_parallel_rank: 0, endpoint: 'tcp://*:5557', replay_endpoint: 'tcp://*:5657', topic: 't' },
      ],
    })
    expect(await vllm().kvEventEndpoints?.(connection)).toEqual([
      { rank: 0, wire: 'vllm', endpoint: 'tcp://127.0.0.1:5557', replayEndpoint: 'tcp://127.0.0.1:5657', topic: 't' },
      { rank: 1, wire: 'vllm', endpoint: 'tcp://127.0.0.1:5558', topic: '' },
    ])
  })

  it.each([[{}], [[]], [{ status: 404 }]])('has no endpoints when the engine answers %j', async answer => {
    const { connection } = await vllmWith({ '/kv_event_sources': answer })
    expect(await vllm().kvEventEndpoints?.(connection)).toEqual([])
  })

  it('takes the endpoints of an older build from its options, one port a rank', async () => {
    const page = [0, 1].map(engine => `vllm:num_requests_running{engine="${engine}"} 0`).join('\n')
    const { connection } = await vllmWith({ '/kv_event_sources': { status: 404 }, '/metrics': page })
    const adapter = vllm({ kvEvents: { endpoint: 'tcp://*:5557', replayEndpoint: 'tcp://*:5657', topic: 'kv' } })
    expect(await adapter.kvEventEndpoints?.(connection)).toEqual([
      { rank: 0, wire: 'vllm', endpoint: 'tcp://127.0.0.1:5557', replayEndpoint: 'tcp://127.0.0.1:5657', topic: 'kv' },
      { rank: 1, wire: 'vllm', endpoint: 'tcp://127.0.0.1:5558', replayEndpoint: 'tcp://127.0.0.1:5658', topic: 'kv' },
    ])
  })

  it.each(['5557', 'tcp://*', 'tcp://*:0', 'tcp://*:99999', 'udp://x:1'])('refuses %s as an address of the engine', async endpoint => {
    const { connection } = await vllmWith({ '/kv_event_sources': [{ endpoint }] })
    await expect(vllm().kvEventEndpoints?.(connection)).rejects.toMatchObject({ code: 'ENGINE_RESPONSE' })
  })

  it('refuses options it does not know and addresses that are none', () => {
    expect(() => vllm({ kvEvent: {} } as never)).toThrow(/did you mean "kvEvents"/)
    expect(() => vllm({ kvEvents: { endpoint: '5557' } })).toThrow(/tcp:\/\/\*:5557/)
  })

  it('tokenises through the engine, with everything that decides the ids', async () => {
    const { connection, requests } = await vllmWith()
    const tools = [{ type: 'function', function: { name: 'f' } }]
    const body = {
      model: 'm',
      messages: [{ role: 'user', content: 'hi' }],
      tools,
      temperature: 0.5,
      stream: true,
      chat_template_kwargs: { enable_thinking: false },
    }
    const ids = await vllm().tokenize?.(connection, { kind: 'chat', model: 'm', body })
    expect(ids).toEqual(Uint32Array.from(captured('tokenize').reply.tokens))
    await vllm().tokenize?.(connection, {
      kind: 'chat',
      model: 'm',
      body: { messages: [], add_generation_prompt: false, continue_final_message: true },
    })
    await vllm().tokenize?.(connection, { kind: 'text', model: 'm', text: 'hi' })
    expect(requests.map(request => request.body)).toEqual([
      { model: 'm', add_generation_prompt: true, messages: body.messages, tools, chat_template_kwargs: body.chat_template_kwargs },
      { model: 'm', messages: [], add_generation_prompt: false, continue_final_message: true },
      { model: 'm', prompt: 'hi' },
    ])
  })
})

describe('the SGLang adapter', () => {
  const sglangWith = async (answers: Answers = {}) => connect((await serve({ ...sglangAnswers, ...answers })).url)

  it('describes pages, ranks and room', async () => {
    expect(await sglang().describe?.(await sglangWith())).toEqual({
      version: '0.5.23',
      models: ['m'],
      blockSize: 64,
      dataParallelRanks: 1,
      capacity: { maxRunningRequests: 128, kvBlocks: 1015 },
    })
  })

  it('reads the load, with the cache counters of all tiers', async () => {
    const [load] = (await sglang().load?.(await sglangWith())) ?? []
    expect(load).toMatchObject({ runningRequests: 3, waitingRequests: 0, kvUsage: 0.2, prefixCacheQueries: 1000, prefixCacheHits: 250 })
  })

  it('reads each rank, without the counters that are for all', async () => {
    const loads = await sglang().load?.(await sglangWith({ '/metrics': sglangMetrics([',dp_rank="0"', ',dp_rank="1"']) }))
    expect(loads).toMatchObject([{ runningRequests: 3 }, { runningRequests: 4, waitingRequests: 1, kvUsage: 0.21 }])
    expect(loads?.[0]).not.toHaveProperty('prefixCacheQueries')
  })

  it('counts ports up from the base, one a rank', async () => {
    const kv_events = {
      publisher: 'zmq',
      endpoint_host: '0.0.0.0',
      endpoint_port_base: 6000,
      replay_endpoint_port_base: 7000,
      topic: '',
      dp_size: 2,
    }
    expect(await sglang().kvEventEndpoints?.(await sglangWith({ '/server_info': { kv_events } }))).toEqual([
      { rank: 0, wire: 'sglang', endpoint: 'tcp://127.0.0.1:6000', replayEndpoint: 'tcp://127.0.0.1:7000', topic: '' },
      { rank: 1, wire: 'sglang', endpoint: 'tcp://127.0.0.1:6001', replayEndpoint: 'tcp://127.0.0.1:7001', topic: '' },
    ])
  })

  it.each([null, undefined])('has no endpoints when events are off (%s)', async kv_events => {
    expect(await sglang().kvEventEndpoints?.(await sglangWith({ '/server_info': { version: '0.5.23', kv_events } }))).toEqual([])
  })
})

describe('the llama.cpp adapter', () => {
  it('describes slots, and reads the load from metrics and slots', async () => {
    const { url } = await serve(llamacppAnswers)
    expect(await llamacpp().describe?.(connect(url))).toEqual({
      version: 'b11434-abc',
      models: ['tiny.gguf'],
      dataParallelRanks: 1,
      capacity: { maxRunningRequests: 4 },
    })
    expect(await llamacpp().load?.(connect(url))).toMatchObject([
      { runningRequests: 1, waitingRequests: 2, kvUsage: 0.25, prefixCacheQueries: 400, prefixCacheHits: 100 },
    ])
  })

  it('applies the chat template before it tokenises a chat', async () => {
    const { url, requests } = await serve(llamacppAnswers)
    const body = { messages: [{ role: 'user', content: 'hi' }], stream: true }
    expect(await llamacpp().tokenize?.(connect(url), { kind: 'chat', model: 'm', body })).toEqual(Uint32Array.of(1, 9, 4))
    expect(requests).toEqual([
      { path: '/apply-template', body: { messages: body.messages } },
      { path: '/tokenize', body: { content: '<user>hi', add_special: true, parse_special: true } },
    ])
  })
})
