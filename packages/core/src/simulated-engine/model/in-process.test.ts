import { describe, expect, it } from 'vitest'
import { chainBlockHashes } from '../../block-hashes/index.js'
import { standInProfile } from '../../engine-profile.js'
import type { KvStreamItem } from '../../kv-events/kv-event.js'
import { createVirtualClock } from '../../virtual-time.js'
import type { Worker } from '../../worker.js'
import { createSimulatedEngine, inProcessEngine, inProcessKvEvents } from './index.js'

const profile = { ...standInProfile, stepBaseMs: 10, prefillMsPerToken: 0, prefillMsPerTokenPerContextToken: 0 }
const ids = (from: number, count: number) => Uint32Array.from({ length: count }, (_, index) => from + index)

function setup({ kvBlocks = 100, delayMs = 0 } = {}) {
  const clock = createVirtualClock()
  const engine = createSimulatedEngine({ profile, blockSize: 4, kvBlocks }, { clock })
  const adapter = inProcessEngine(engine)
  const connection = {
    url: 'http://a.simulated',
    headers: {},
    fetch: () => Promise.reject(new Error('nothing goes over a socket')),
    clock,
    signal: new AbortController().signal,
  }
  const worker = { id: 'a', incarnation: 4, models: ['tiny'], engine: adapter } as unknown as Worker
  const items: { readonly item: KvStreamItem; readonly at: number }[] = []
  const open = () =>
    inProcessKvEvents({ delayMs }).open(worker, {
      connection,
      clock,
      onItem: item => items.push({ item, at: clock.now() }),
      onProblem() {},
    })
  const run = (prompt: Uint32Array, maxTokens = 1) => {
    engine.submit({ id: 'request', prompt, maxTokens }, { onTokens() {}, onEnd() {} })
    clock.runToIdleSync()
  }
  const told = () => items.flatMap(({ item }): readonly object[] => (item.type === 'batch' ? item.events : [item]))
  return { clock, engine, adapter, connection, worker, items, open, run, told }
}

describe('the adapter of an engine in this process', () => {
  it('describes the engine and reports its load', async () => {
    const { adapter, connection, engine, run } = setup()
    run(ids(0, 9))
    run(ids(0, 9))
    await adapter.health(connection)
    expect(await adapter.describe?.(connection)).toEqual({
      models: ['simulated'],
      blockSize: 4,
      dataParallelRanks: 1,
      capacity: { kvBlocks: 100, maxRunningRequests: 256 },
    })
    engine.submit({ id: 'b', prompt: ids(0, 9), maxTokens: 9 }, { onTokens() {}, onEnd() {} })
    expect(await adapter.load?.(connection)).toEqual([
      { runningRequests: 0, waitingRequests: 1, kvUsage: 0, prefixCacheQueries: 18, prefixCacheHits: 8, at: 20 },
    ])
  })

  it('is unhealthy when the engine is closed', async () => {
    const { adapter, connection, engine } = setup()
    engine.close()
    await expect(adapter.health(connection)).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' })
    await expect(adapter.load?.(connection)).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' })
  })
})

describe('KV events of an engine in this process', () => {
  it('come in order with the holder, the key space and the time of the step, and end with close', async () => {
    const { open, run, items } = setup()
    const subscription = await open()
    expect(subscription.sources).toBe(1)
    run(ids(0, 9), 6)
    const source = { kind: 'worker', workerId: 'a', incarnation: 4, rank: 0 }
    const keySpace = { model: 'tiny', scheme: 'kvfleet', blockSize: 4 }
    const hashes = chainBlockHashes(ids(0, 8), 4)
    expect(items).toMatchObject([
      {
        at: 10,
        item: {
          type: 'batch',
          source,
          sequence: 0,
          publishedAtMs: 10,
          events: [{ type: 'stored', holder: source, medium: 'gpu', keySpace, hashes, parent: undefined, tokens: ids(0, 8) }],
        },
      },
      { item: { sequence: 1, events: [{ type: 'stored', parent: hashes.subarray(2) }] } },
    ])
    await subscription.close()
    run(ids(50, 9))
    expect(items).toHaveLength(2)
  })

  it('are late by delayMs, also when that is longer than a step', async () => {
    const { open, run, items } = setup({ delayMs: 25 })
    await open()
    run(ids(0, 9), 6)
    const delays = items.map(({ at, item }) => at - (item.type === 'batch' ? item.publishedAtMs : 0))
    expect(delays).toHaveLength(2)
    for (const delay of delays) expect(delay).toBeCloseTo(25, 9)
    expect(items[1]?.at).toBeGreaterThan(items[0]?.at ?? 0)
  })

  it('tell once of a block that the engine holds twice, and of its removal when the last copy goes', async () => {
    const { open, run, told } = setup({ kvBlocks: 5 })
    await open()
    run(ids(0, 8))
    run(ids(0, 8))
    const hashes = chainBlockHashes(ids(0, 8), 4)
    expect(told()).toMatchObject([{ type: 'stored', hashes }])
    run(ids(90, 17))
    expect(told().slice(1)).toMatchObject([
      { type: 'removed', hashes: hashes.subarray(2) },
      { type: 'removed', hashes: hashes.subarray(0, 2) },
      { type: 'stored' },
    ])
  })

  it('begin with a reset when the engine has been at work before', async () => {
    const { open, run, told } = setup()
    run(ids(0, 9))
    await open()
    expect(told()).toMatchObject([{ type: 'reset', reason: 'joined' }])
  })

  it('are none for other workers', async () => {
    const { worker, clock, connection } = setup()
    const other = { ...worker, engine: { name: 'vllm', health: async () => {} } } as Worker
    const subscription = await inProcessKvEvents().open(other, { connection, clock, onItem() {}, onProblem() {} })
    expect(subscription.sources).toBe(0)
    await subscription.close()
  })
})
