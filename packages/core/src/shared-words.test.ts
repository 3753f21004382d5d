import { expect, expectTypeOf, it } from 'vitest'
import type { Demand, KvEvent, KvHolder, KvStreamItem, RemoteShell } from './index.js'

const holder: KvHolder = { kind: 'worker', workerId: 'a', incarnation: 1, rank: 0 }
const store: KvHolder = { kind: 'store', storeId: 'efs', reach: { scope: 'zone', zone: 'us-east-1a' } }

it('describes blocks on workers and in stores with one KvEvent, told apart by type and holder', () => {
  const stored: KvEvent = {
    type: 'stored',
    holder: store,
    medium: 'disk',
    keySpace: { model: 'm', scheme: 'vllm', blockSize: 2 },
    hashes: Uint32Array.of(1, 2),
    parent: undefined,
    tokens: undefined,
    fetchMsPerBlock: 1.5,
  }
  const events: KvEvent[] = [stored, { type: 'removed', holder, medium: 'gpu', hashes: Uint32Array.of(1, 2) }, { type: 'cleared', holder }]
  const reaches = events.map(event => (event.holder.kind === 'store' ? event.holder.reach.scope : 'worker'))
  expect(reaches).toEqual(['zone', 'worker', 'worker'])
  expectTypeOf<Extract<KvStreamItem, { type: 'reset' }>['reason']>().toEqualTypeOf<'gap' | 'restart' | 'joined' | 'closed'>()
})

it('lets a scaling policy be a pure function of Demand', () => {
  const wanted = (demand: Demand) => Math.ceil((demand.arrivedUncachedTokens / demand.windowMs) * 0.1)
  const demand: Demand = {
    at: 60_000,
    windowMs: 60_000,
    arrivedRequests: 200,
    arrivedPromptTokens: 2_400_000,
    arrivedUncachedTokens: 1_800_000,
    completedRequests: 190,
    outputTokens: 68_000,
    queuedRequests: 0,
    waitingRequests: 10,
    waitingPrefillTokens: 100_000,
    runningRequests: 40,
    sloMisses: 4,
    sloJudged: 190,
  }
  expect(wanted(demand)).toBe(3)
  expect(JSON.parse(JSON.stringify(demand))).toEqual(demand)
})

it('needs only a name and one method of a remote shell', () => {
  expectTypeOf<keyof RemoteShell>().toEqualTypeOf<'name' | 'run'>()
})
