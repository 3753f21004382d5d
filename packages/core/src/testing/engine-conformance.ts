import type { Clock } from '../clock.js'
import type { EngineAdapter, EngineConnection, Fetch, PromptInput } from '../engine.js'
import { KvFleetError } from '../errors.js'
import { createVirtualClock } from '../virtual-time.js'

/** What the suite needs of a test framework: vitest's and jest's `it` and `expect` fit. */
export interface EngineSuiteTools {
  readonly it: (name: string, run: () => void | Promise<void>) => unknown
  readonly expect: (actual: unknown) => { toBe(expected: unknown): unknown; toEqual(expected: unknown): unknown }
}

export interface EngineAdapterSubject {
  readonly create: () => EngineAdapter
  /** An engine that serves: a real one, a simulated one, or a server that replays recorded answers. */
  readonly start: () => Promise<{ readonly url: string; close(): Promise<void> }>
  /** Default: `m`. */
  readonly model?: string
}

const SECRET = 'secret-of-the-conformance-suite'
const PROMPT = 'words that must not leak'

type Call = readonly [name: string, run: (connection: EngineConnection) => Promise<unknown>]

/** What every EngineAdapter keeps to. Checks of the network apply to adapters that reach their engine through `connection.fetch`. */
export function testEngineAdapter(subject: EngineAdapterSubject, { it, expect }: EngineSuiteTools): void {
  const { name } = subject.create()
  const model = subject.model ?? 'm'
  const clock = createVirtualClock({ startAt: 1_000_000 })
  const text: PromptInput = { kind: 'text', model, text: PROMPT }
  const chat: PromptInput = { kind: 'chat', model, body: { model, stream: true, messages: [{ role: 'user', content: PROMPT }] } }

  /** Everything that the adapter can do. */
  const callsOf = (adapter: EngineAdapter): Call[] => [
    ['health', connection => adapter.health(connection)],
    ...(adapter.describe ? [['describe', connection => adapter.describe?.(connection)] as Call] : []),
    ...(adapter.load ? [['load', connection => adapter.load?.(connection)] as Call] : []),
    ...(adapter.kvEventEndpoints ? [['kvEventEndpoints', connection => adapter.kvEventEndpoints?.(connection)] as Call] : []),
    ...(adapter.tokenize
      ? [
          ['tokenize text', connection => adapter.tokenize?.(connection, text)] as Call,
          ['tokenize chat', connection => adapter.tokenize?.(connection, chat)] as Call,
        ]
      : []),
  ]

  const serving = async (run: (connection: EngineConnection) => Promise<void>, fetching: Fetch = fetch) => {
    const engine = await subject.start()
    try {
      await run(connectionTo(engine.url, clock, fetching))
    } finally {
      await engine.close()
    }
  }

  /** Each ability's failure against a network that behaves like `fetching`; none for an adapter that never asks it. */
  const failures = async (fetching: Fetch, signal?: AbortSignal) => {
    let asked = false
    const watched: Fetch = (url, init) => {
      asked = true
      return fetching(url, init)
    }
    const errors: [string, unknown][] = []
    for (const [ability, run] of callsOf(subject.create())) {
      asked = false
      const error = await run(connectionTo('http://127.0.0.1:9', clock, watched, signal)).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      if (asked) errors.push([ability, error])
    }
    return errors
  }
  const codes = (errors: readonly [string, unknown][]) => [
    ...new Set(errors.map(([, error]) => (KvFleetError.is(error) ? error.code : `no KvFleetError: ${error}`))),
  ]
  const noneOr = (errors: readonly unknown[], code: string) => (errors.length === 0 ? [] : [code])

  it(`engine ${name}: does everything it advertises, and the same again`, () =>
    serving(async connection => {
      for (const [, run] of callsOf(subject.create())) {
        const [first, second] = [await run(connection), await run(connection)]
        expect(second).toEqual(first)
      }
    }))

  it(`engine ${name}: describes itself in whole, positive numbers`, () =>
    serving(async connection => {
      const about = await subject.create().describe?.(connection)
      const { maxRunningRequests, kvBlocks } = about?.capacity ?? {}
      const numbers = [about?.blockSize, about?.dataParallelRanks, maxRunningRequests, kvBlocks].filter(number => number !== undefined)
      expect(numbers.filter(number => !Number.isInteger(number) || number < 1)).toEqual([])
      expect((about?.models ?? []).filter(id => id === '')).toEqual([])
    }))

  it(`engine ${name}: reports a load within bounds, at the connection's time, for each rank`, () =>
    serving(async connection => {
      const adapter = subject.create()
      const loads = await adapter.load?.(connection)
      if (loads === undefined) return
      const about = await adapter.describe?.(connection)
      expect(loads.length).toBe(about?.dataParallelRanks ?? loads.length)
      for (const { runningRequests, waitingRequests, kvUsage, at, prefixCacheQueries = 0, prefixCacheHits = 0 } of loads) {
        expect(at).toBe(clock.now())
        expect(runningRequests >= 0 && waitingRequests >= 0 && kvUsage >= 0 && kvUsage <= 1).toBe(true)
        expect(prefixCacheHits >= 0 && prefixCacheHits <= prefixCacheQueries).toBe(true)
      }
    }))

  it(`engine ${name}: names event endpoints that another machine can connect to, one a rank`, () =>
    serving(async connection => {
      const endpoints = (await subject.create().kvEventEndpoints?.(connection)) ?? []
      expect(endpoints.map(({ rank }) => rank)).toEqual(endpoints.map((_, index) => index))
      const addresses = endpoints.flatMap(({ endpoint, replayEndpoint }) => [
        endpoint,
        ...(replayEndpoint === undefined ? [] : [replayEndpoint]),
      ])
      expect(addresses.filter(address => /[*]|0\.0\.0\.0|\[?::\]?:/.test(address) || !/^\w+:\/\/./.test(address))).toEqual([])
      expect(new Set(addresses).size).toBe(addresses.length)
      expect(endpoints.filter(({ wire }) => wire === '')).toEqual([])
    }))

  it(`engine ${name}: gives ids for a prompt, and leaves ids as they are`, () =>
    serving(async connection => {
      const adapter = subject.create()
      if (adapter.tokenize === undefined) return
      const tokens = Uint32Array.of(3, 1, 2)
      expect(await adapter.tokenize(connection, { kind: 'tokens', tokens })).toEqual(tokens)
      for (const prompt of [text, chat]) {
        const ids = await adapter.tokenize(connection, prompt)
        expect(ids instanceof Uint32Array && ids.length > 0).toBe(true)
      }
    }))

  it(`engine ${name}: sends the worker's headers with every request`, async () => {
    const without: string[] = []
    const watched: Fetch = (url, init) => {
      if (new Headers(init?.headers).get('authorization') !== SECRET) without.push(url)
      return fetch(url, init)
    }
    await serving(async connection => {
      for (const [, run] of callsOf(subject.create())) await run(connection)
      expect(without).toEqual([])
    }, watched)
  })

  it(`engine ${name}: says ENGINE_UNREACHABLE when nothing answers`, async () => {
    const refused = Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }) })
    const errors = await failures(() => Promise.reject(refused))
    expect(codes(errors)).toEqual(noneOr(errors, 'ENGINE_UNREACHABLE'))
  })

  it(`engine ${name}: says ENGINE_RESPONSE, with path and status, when the engine refuses`, async () => {
    const errors = await failures(() => Promise.resolve(new Response(`no: ${PROMPT}`, { status: 503 })))
    expect(codes(errors)).toEqual(noneOr(errors, 'ENGINE_RESPONSE'))
    expect(errors.filter(([, error]) => !/^\/.*503/.test((error as Error).message)).map(([ability]) => ability)).toEqual([])
  })

  it(`engine ${name}: says ENGINE_RESPONSE when an answer is not what it should be`, async () => {
    for (const body of ['<html>', '{}', '[]', 'null', '{"data":5,"tokens":["a"],"prompt":7}']) {
      const errors = await failures(() => Promise.resolve(new Response(body)))
      // Some answers need no body, and an empty list of endpoints is a good one.
      const failed = errors.filter(([, error]) => error !== undefined)
      expect(codes(failed)).toEqual(noneOr(failed, 'ENGINE_RESPONSE'))
      expect(
        errors
          .filter(([ability, error]) => error === undefined && ability !== 'health' && ability !== 'kvEventEndpoints')
          .map(([ability]) => ability),
      ).toEqual([])
    }
  })

  it(`engine ${name}: never puts headers or prompts into its errors`, async () => {
    const networks: Fetch[] = [
      () => Promise.reject(new TypeError('fetch failed')),
      () => Promise.resolve(new Response(PROMPT, { status: 400 })),
      () => Promise.resolve(new Response(JSON.stringify({ data: PROMPT, tokens: PROMPT }))),
    ]
    for (const network of networks) {
      const told = (await failures(network)).map(([, error]) => (KvFleetError.is(error) ? `${error.message} ${JSON.stringify(error)}` : ''))
      expect(told.filter(line => line.includes(SECRET) || line.includes(PROMPT))).toEqual([])
    }
  })

  it(`engine ${name}: ends when the caller aborts`, async () => {
    const controller = new AbortController()
    const silent: Fetch = (_, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason), { once: true })
        if (init?.signal?.aborted) reject(init.signal.reason)
        else controller.abort()
      })
    const errors = await failures(silent, controller.signal)
    expect(codes(errors)).toEqual(noneOr(errors, 'ABORTED'))
  })
}

function connectionTo(url: string, clock: Clock, fetching: Fetch, signal: AbortSignal = new AbortController().signal): EngineConnection {
  return { url, headers: { authorization: SECRET }, fetch: fetching, clock, signal }
}
