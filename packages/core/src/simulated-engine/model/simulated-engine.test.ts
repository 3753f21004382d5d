import { describe, expect, it } from 'vitest'
import { chainBlockHashes, promptExtraKeys } from '../../block-hashes/index.js'
import { type EngineProfile, prefillMs, standInProfile } from '../../engine-profile.js'
import { createVirtualClock, type VirtualClock } from '../../virtual-time.js'
import type { SimulatedEngine, SimulatedEngineOptions, SimulatedKvEvent, SimulatedRequest, SimulatedResult } from './engine.js'
import { createSimulatedEngine } from './simulated-engine.js'

const profile: EngineProfile = {
  name: 'test',
  stepBaseMs: 10,
  prefillMsPerToken: 0.5,
  prefillMsPerTokenPerContextToken: 0.001,
  decodeMsPerSequence: 1,
  decodeMsPerContextToken: 0.01,
  maxBatchedTokens: 32,
  standIn: true,
}

interface Setup {
  readonly clock: VirtualClock
  readonly engine: SimulatedEngine
  readonly events: (SimulatedKvEvent & { readonly at: number })[]
  run(request: Partial<SimulatedRequest> & Pick<SimulatedRequest, 'prompt'>): Promise<SimulatedResult & { readonly tokens: number[] }>
}

function setup(options: Partial<SimulatedEngineOptions> = {}): Setup {
  const clock = createVirtualClock()
  const engine = createSimulatedEngine({ profile, blockSize: 4, kvBlocks: 100, ...options }, { clock })
  const events: Setup['events'] = []
  engine.onKvEvents((batch, at) => events.push(...batch.map(event => ({ ...event, at }))))
  const start: Setup['run'] = request =>
    new Promise(resolve => {
      const tokens: number[] = []
      engine.submit(
        { id: 'request', maxTokens: 1, ...request },
        {
          wantsTokens: true,
          onTokens: run => tokens.push(...(run.tokens as Uint32Array)),
          onEnd: result => resolve({ ...result, tokens }),
        },
      )
    })
  return { clock, engine, events, run: request => clock.runUntil(start(request)) }
}

const ids = (from: number, count: number) => Uint32Array.from({ length: count }, (_, index) => from + index)

describe('times', () => {
  it('prefills an idle engine in chunks, in the time of the closed form', async () => {
    const { run } = setup()
    const { firstTokenAt, endedAt, scheduledAt } = await run({ prompt: ids(0, 100) })
    expect(scheduledAt).toBe(0)
    expect(firstTokenAt).toBeCloseTo(prefillMs(profile, 100), 6)
    expect(endedAt).toBe(firstTokenAt)
  })

  it('decodes one token a step, each step as long as its context', async () => {
    const { run } = setup()
    const { firstTokenAt, endedAt } = await run({ prompt: ids(0, 10), maxTokens: 4 })
    const decode = [11, 12, 13].reduce((sum, context) => sum + 10 + 1 + 0.01 * context, 0)
    expect(endedAt - (firstTokenAt as number)).toBeCloseTo(decode, 6)
  })

  it('lets decoding requests go first and prompts share what is left of the budget', async () => {
    const { clock, engine } = setup()
    const firstTokens = new Map<string, number>()
    const ended = new Map<string, number>()
    const submit = (id: string, length: number, maxTokens: number) =>
      engine.submit(
        { id, prompt: ids(length, length), maxTokens },
        { onTokens: run => firstTokens.set(id, firstTokens.get(id) ?? run.firstAt), onEnd: result => ended.set(id, result.endedAt) },
      )
    submit('short', 4, 3)
    clock.advanceSync(1)
    submit('long', 62, 1)
    clock.runToIdleSync()
    // 31 tokens beside each decode step: two steps for 62.
    const second = 10 + 0.5 * 31 + 0.001 * 31 * 15.5 + 1 + 0.01 * 5
    const third = 10 + 0.5 * 31 + 0.001 * 31 * (31 + 15.5) + 1 + 0.01 * 6
    const first = 10 + 0.5 * 4 + 0.001 * 4 * 2
    expect(firstTokens.get('short')).toBeCloseTo(first, 6)
    expect(ended.get('short')).toBeCloseTo(first + second + third, 6)
    expect(firstTokens.get('long')).toBeCloseTo(first + second + third, 6)
  })

  it('runs at most maxRunningRequests at once, first come, first served', async () => {
    const { clock, engine } = setup({ maxRunningRequests: 2 })
    const order: string[] = []
    for (const id of ['a', 'b', 'c', 'd']) {
      engine.submit({ id, prompt: ids(order.length, 3), maxTokens: 2 }, { onTokens() {}, onEnd: () => order.push(id) })
    }
    clock.advanceSync(1)
    expect(engine.stats()).toMatchObject({ runningRequests: 2, waitingRequests: 2 })
    clock.runToIdleSync()
    expect(order).toEqual(['a', 'b', 'c', 'd'])
    expect(engine.stats()).toMatchObject({
      runningRequests: 0,
      waitingRequests: 0,
      completedRequests: 4,
      outputTokens: 8,
      promptTokens: 12,
    })
  })
})

describe('prefix cache', () => {
  it.each([
    [13, 12],
    [12, 8],
    [4, 0],
    [5, 4],
  ])('of a cached prompt of %i tokens finds %i: one token is always computed', async (length, cached) => {
    const { run, engine } = setup()
    await run({ prompt: ids(0, 20) })
    const before = engine.stats()
    expect(await run({ prompt: ids(0, length) })).toMatchObject({ cachedTokens: cached })
    expect(engine.stats().prefixCacheHits - before.prefixCacheHits).toBe(cached)
    expect(engine.stats().prefixCacheQueries - before.prefixCacheQueries).toBe(length)
  })

  it('finds generated blocks too', async () => {
    const { run } = setup()
    const { tokens } = await run({ prompt: ids(0, 6), maxTokens: 11 })
    const conversation = Uint32Array.of(...ids(0, 6), ...tokens, 1, 2, 3)
    // 16 tokens were computed: the last output token never is.
    expect(await run({ prompt: conversation })).toMatchObject({ cachedTokens: 16 })
  })

  it('does not mix salts', async () => {
    const { run, events } = setup()
    await run({ prompt: ids(0, 9), cacheSalt: 'a' })
    expect(await run({ prompt: ids(0, 9) })).toMatchObject({ cachedTokens: 0 })
    expect(await run({ prompt: ids(0, 9), cacheSalt: 'b' })).toMatchObject({ cachedTokens: 0 })
    expect(await run({ prompt: ids(0, 9), cacheSalt: 'a' })).toMatchObject({ cachedTokens: 8 })
    const stored = events.filter(event => event.type === 'stored')
    const extraKeys = promptExtraKeys({ cacheSalt: 'a' }, 2) as (string | undefined)[]
    expect(stored[0]).toMatchObject({ cacheSalt: 'a', hashes: chainBlockHashes(ids(0, 8), 4, { extraKeys }) })
    expect(stored[1]).toMatchObject({ cacheSalt: undefined, hashes: chainBlockHashes(ids(0, 8), 4) })
  })

  it('lets a request admitted later in the same step share the blocks of an earlier one', async () => {
    const { clock, engine } = setup()
    const results: SimulatedResult[] = []
    const listener = { onTokens() {}, onEnd: (result: SimulatedResult) => results.push(result) }
    engine.submit({ id: 'a', prompt: ids(0, 10), maxTokens: 1 }, listener)
    engine.submit({ id: 'b', prompt: ids(0, 10), maxTokens: 1 }, listener)
    clock.runToIdleSync()
    expect(results).toMatchObject([
      { id: 'a', cachedTokens: 0 },
      { id: 'b', cachedTokens: 8 },
    ])
    expect(engine.stats().steps).toBe(1)
  })

  it('takes prompts by their hashes as it takes their ids', async () => {
    const { run } = setup()
    const prompt = ids(7, 19)
    await run({ prompt })
    expect(await run({ prompt: { length: 19, blockHashes: chainBlockHashes(prompt, 4) } })).toMatchObject({ cachedTokens: 16 })
  })
})

describe('KV events', () => {
  it('announce a prompt in one event and each generated block in one of its own, with parents and tokens', async () => {
    const { run, events } = setup()
    const { tokens } = await run({ prompt: ids(0, 10), maxTokens: 8 })
    const all = Uint32Array.of(...ids(0, 10), ...tokens)
    const hashes = chainBlockHashes(all, 4)
    expect(events).toMatchObject([
      { type: 'stored', hashes: hashes.subarray(0, 4), parent: undefined, tokens: all.subarray(0, 8) },
      { type: 'stored', hashes: hashes.subarray(4, 6), parent: hashes.subarray(2, 4), tokens: all.subarray(8, 12) },
      { type: 'stored', hashes: hashes.subarray(6, 8), parent: hashes.subarray(4, 6), tokens: all.subarray(12, 16) },
    ])
  })

  it('leave tokens out when the prompt came by its hashes, and go on from the last hash', async () => {
    const { run, events } = setup()
    const blockHashes = chainBlockHashes(ids(0, 8), 4)
    await run({ id: 'a', prompt: { length: 9, blockHashes }, maxTokens: 5 })
    expect(events).toMatchObject([
      { type: 'stored', hashes: blockHashes, tokens: undefined },
      { type: 'stored', parent: blockHashes.subarray(2), tokens: undefined },
    ])
    const again = setup()
    await again.run({ id: 'a', prompt: { length: 9, blockHashes }, maxTokens: 5 })
    expect(again.events).toEqual(events)
  })

  it('tell of a block that is recomputed though cached, and of both of its removals', async () => {
    const { run, events } = setup({ kvBlocks: 4 })
    const hashes = chainBlockHashes(ids(0, 8), 4)
    await run({ prompt: ids(0, 8) })
    await run({ prompt: ids(0, 8) })
    expect(events.slice(1)).toMatchObject([{ type: 'stored', hashes: hashes.subarray(2), duplicates: Uint8Array.of(1) }])
    events.length = 0
    await run({ prompt: ids(50, 16) })
    const removed = events.filter(event => event.type === 'removed')
    expect(removed.map(event => [[...event.hashes], event.copiesLeft ?? false])).toEqual([
      [[...hashes.subarray(2)], true],
      [[...hashes.subarray(2)], false],
      [[...hashes.subarray(0, 2)], false],
    ])
    expect(events.at(-1)).toMatchObject({ type: 'stored' })
  })

  it('announce a reset with the next step, and forget nothing that is in use', async () => {
    const { clock, engine, events, run } = setup()
    await run({ prompt: ids(0, 9) })
    engine.resetPrefixCache()
    expect(events).toHaveLength(1)
    expect(await run({ prompt: ids(0, 9) })).toMatchObject({ cachedTokens: 0 })
    expect(events.slice(1)).toMatchObject([{ type: 'cleared' }, { type: 'stored' }])

    events.length = 0
    const results: SimulatedResult[] = []
    engine.submit({ id: 'running', prompt: ids(0, 5), maxTokens: 3 }, { onTokens() {}, onEnd: result => results.push(result) })
    clock.advanceSync(1)
    engine.resetPrefixCache()
    clock.runToIdleSync()
    expect(events).toMatchObject([{ type: 'removed', hashes: chainBlockHashes(ids(0, 8), 4).subarray(2) }])
    expect(await run({ prompt: ids(0, 9) })).toMatchObject({ cachedTokens: 4 })
  })
})

describe('a small KV room', () => {
  it('refuses what can never fit, and runs what just fits', async () => {
    const { run } = setup({ kvBlocks: 3 })
    expect(await run({ prompt: ids(0, 10), maxTokens: 4 })).toMatchObject({ finish: 'rejected', outputTokens: 0, scheduledAt: undefined })
    expect(await run({ prompt: ids(0, 10), maxTokens: 3 })).toMatchObject({ finish: 'length', outputTokens: 3 })
  })

  it('preempts the last admitted request, which starts over and loses nothing it produced', async () => {
    const options = { kvBlocks: 6 }
    const { clock, engine } = setup(options)
    const results = new Map<string, SimulatedResult & { tokens: number[] }>()
    for (const id of ['a', 'b']) {
      const tokens: number[] = []
      engine.submit(
        { id, prompt: ids(id.charCodeAt(0), 8), maxTokens: 12 },
        {
          wantsTokens: true,
          onTokens: run => tokens.push(...(run.tokens as Uint32Array)),
          onEnd: result => results.set(id, { ...result, tokens }),
        },
      )
    }
    clock.runToIdleSync()
    expect(results.get('a')).toMatchObject({ preemptions: 0, outputTokens: 12 })
    expect(results.get('b')?.preemptions).toBeGreaterThan(0)
    expect(engine.stats().preemptions).toBe(results.get('b')?.preemptions)
    const alone = await setup().run({ prompt: ids('b'.charCodeAt(0), 8), maxTokens: 12 })
    expect(results.get('b')?.tokens).toEqual(alone.tokens)
    expect(engine.stats().kvUsage).toBe(0)
  })

  it('admits a prompt only when all of it finds room', () => {
    const { clock, engine } = setup({ kvBlocks: 8 })
    const listener = { onTokens() {}, onEnd() {} }
    engine.submit({ id: 'a', prompt: ids(0, 16), maxTokens: 8 }, listener)
    engine.submit({ id: 'b', prompt: ids(50, 17), maxTokens: 1 }, listener)
    clock.advanceSync(1)
    expect(engine.stats()).toMatchObject({ runningRequests: 1, waitingRequests: 1, kvUsage: 0.5 })
    clock.runToIdleSync()
    expect(engine.stats()).toMatchObject({ completedRequests: 2, preemptions: 0 })
  })
})

describe('aborts', () => {
  it('end a waiting request at once and a running one without its step', () => {
    const { clock, engine } = setup({ maxRunningRequests: 1 })
    const results: SimulatedResult[] = []
    const listener = { onTokens() {}, onEnd: (result: SimulatedResult) => results.push(result) }
    const abortRunning = engine.submit({ id: 'running', prompt: ids(0, 8), maxTokens: 50 }, listener)
    const abortWaiting = engine.submit({ id: 'waiting', prompt: ids(0, 8), maxTokens: 50 }, listener)
    clock.advanceSync(20)
    abortWaiting()
    abortRunning()
    abortRunning()
    expect(results).toMatchObject([
      { id: 'waiting', finish: 'abort', endedAt: 20, outputTokens: 0, scheduledAt: undefined },
      { id: 'running', finish: 'abort', endedAt: 20, outputTokens: 1 },
    ])
    expect(engine.stats()).toMatchObject({ runningRequests: 0, waitingRequests: 0 })
    clock.runToIdleSync()
    expect(engine.stats()).toMatchObject({ kvUsage: 0, completedRequests: 0, steps: 2 })
    expect(clock.pending).toBe(0)
  })

  it('from within a listener take effect at that step, and so does a new request', () => {
    const { clock, engine } = setup()
    const results: SimulatedResult[] = []
    const onEnd = (result: SimulatedResult) => results.push(result)
    let abortOther = () => {}
    engine.submit(
      { id: 'first', prompt: ids(0, 8), maxTokens: 1 },
      {
        onTokens() {},
        onEnd(result) {
          onEnd(result)
          abortOther()
          engine.submit({ id: 'next', prompt: ids(30, 8), maxTokens: 1 }, { onTokens() {}, onEnd })
        },
      },
    )
    abortOther = engine.submit({ id: 'other', prompt: ids(60, 8), maxTokens: 9 }, { onTokens() {}, onEnd })
    clock.runToIdleSync()
    const first = results[0] as SimulatedResult
    expect(results).toMatchObject([
      { id: 'first', finish: 'length' },
      { id: 'other', finish: 'abort', endedAt: first.endedAt, outputTokens: 1 },
      { id: 'next', submittedAt: first.endedAt, scheduledAt: first.endedAt },
    ])
    expect(engine.stats()).toMatchObject({ steps: 2, kvUsage: 0 })
  })

  it('of everything come with close', () => {
    const { clock, engine } = setup({ maxRunningRequests: 1 })
    const finishes: string[] = []
    for (const id of ['a', 'b'])
      engine.submit({ id, prompt: ids(0, 8), maxTokens: 50 }, { onTokens() {}, onEnd: end => finishes.push(end.finish) })
    clock.advanceSync(100)
    engine.close()
    expect(finishes).toEqual(['abort', 'abort'])
    expect(engine.closed).toBe(true)
    expect(engine.stats()).toMatchObject({ runningRequests: 0, waitingRequests: 0, kvUsage: 0 })
    expect(clock.pending).toBe(0)
    expect(() => engine.submit({ id: 'c', prompt: ids(0, 8), maxTokens: 1 }, { onTokens() {}, onEnd() {} })).toThrow(
      expect.objectContaining({ code: 'CLOSED' }),
    )
  })
})

describe('a clock whose timers fire late', () => {
  it('does not stretch the engine: what was due is caught up on, at its own times', () => {
    const exact = setup({ jump: false })
    const late = setup({ jump: false })
    const timesOf = ({ clock, engine }: Setup, advance: (clock: VirtualClock) => void) => {
      const times: number[] = []
      engine.submit({ id: 'a', prompt: ids(0, 40), maxTokens: 20 }, { onTokens: run => times.push(run.firstAt), onEnd() {} })
      advance(clock)
      return times
    }
    const expected = timesOf(exact, clock => clock.runToIdleSync())
    const lateClock = { now: late.clock.now, schedule: late.clock.schedule }
    const engine = createSimulatedEngine(
      { profile, blockSize: 4, kvBlocks: 100, jump: false },
      {
        clock: { now: lateClock.now, schedule: (delayMs, callback) => late.clock.schedule(Math.ceil(delayMs / 100) * 100 + 35, callback) },
      },
    )
    const times = timesOf({ ...late, engine }, clock => clock.runToIdleSync())
    expect(times).toEqual(expected)
  })
})

describe('options and requests', () => {
  it.each<[string, object, string]>([
    ['an unknown key', { blocksize: 4 }, 'did you mean "blockSize"'],
    ['no room', { kvBlocks: 0 }, 'kvBlocks'],
    ['half a block', { blockSize: 1.5 }, 'blockSize'],
    ['a negative time', { profile: { ...standInProfile, stepBaseMs: -1 } }, 'profile.stepBaseMs'],
  ])('with %s are refused', (_, wrong, message) => {
    expect(() => setup(wrong)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(message) }))
  })

  it.each<[string, Pick<SimulatedRequest, 'prompt' | 'maxTokens'>]>([
    ['without a prompt', { prompt: new Uint32Array(0), maxTokens: 1 }],
    ['without output', { prompt: ids(0, 1), maxTokens: 0 }],
    ['with too few hashes', { prompt: { length: 8, blockHashes: new Uint32Array(2) }, maxTokens: 1 }],
  ])('%s are refused', (_, request) => {
    const { engine } = setup()
    expect(() => engine.submit({ id: 'a', ...request }, { onTokens() {}, onEnd() {} })).toThrow(
      expect.objectContaining({ code: 'REQUEST_INVALID' }),
    )
  })
})
