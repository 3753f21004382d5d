import { KvFleetError, subscribe, type TelemetryMessages, type Worker } from '@kvfleet/core'
import { chainBlockHashes } from '@kvfleet/core/block-hashes'
import { afterEach, describe, expect, it } from 'vitest'
import { createRouter } from './create-router.js'
import { maxInFlight } from './filters/max-in-flight.js'
import { inTurn } from './pickers/in-turn.js'
import { composePolicy } from './policies/compose-policy.js'
import { kvAware } from './policies/kv-aware.js'
import { roundRobin } from './policies/round-robin.js'
import type { Candidate, Filter, Policy, PolicyContext, Scorer } from './policy.js'
import type { TokenSource } from './router.js'
import { routingRequest } from './routing-request.js'
import { createTestFleet, type TestFleet } from './testing/index.js'
import { holds } from './testing/kv-items.js'

const tokens = Uint32Array.from({ length: 64 }, (_, at) => at)
const text = { kind: 'text', model: 'm', text: 'a private prompt' } as const

function thrown(work: () => unknown): KvFleetError {
  try {
    work()
  } catch (error) {
    if (error instanceof KvFleetError) return error
  }
  throw new Error('expected a KvFleetError')
}

const opened: TestFleet[] = []
const testFleet = (options = {}) => {
  const test = createTestFleet(options)
  opened.push(test)
  return test
}
afterEach(async () => {
  for (const { fleet } of opened.splice(0)) await fleet.close()
})

describe('deciding', () => {
  it('takes the worker with the highest weighted sum of its scores', async () => {
    const { fleet, addWorker } = testFleet()
    for (const id of ['a', 'b', 'c']) await addWorker(id)
    const scorer = (name: string, scores: Record<string, number>): Scorer => ({ name, score: (_request, { id }) => scores[id] ?? 0 })
    const policy = composePolicy({
      name: 'test',
      scorers: [
        [scorer('one', { a: 1, b: 0.8, c: 0 }), 1],
        [scorer('two', { a: 0, b: 0.5, c: 1 }), 2],
      ],
    })
    const decision = createRouter({ fleet, policy }).decide(routingRequest({ id: 'r' }))
    expect(decision.worker.id).toBe('c')
    expect(decision.explain().evaluations.map(({ workerId, total }) => [workerId, total])).toEqual([
      ['a', 1],
      ['b', 1.8],
      ['c', 2],
    ])
  })

  it('clamps scores to [0, 1] and takes NaN for 0', async () => {
    const { fleet, addWorker } = testFleet()
    const scores: Record<string, number> = { low: -3, nan: Number.NaN, high: 7, infinite: Number.NEGATIVE_INFINITY }
    for (const id of Object.keys(scores)) await addWorker(id)
    const policy = composePolicy({ name: 'test', scorers: [[{ name: 'wild', score: (_request, { id }) => scores[id] as number }, 1]] })
    const decision = createRouter({ fleet, policy }).decide(routingRequest({ id: 'r' }))
    expect(decision.explain().evaluations.map(({ total }) => total)).toEqual([0, 0, 1, 0])
  })

  it('offers every data-parallel rank on its own', async () => {
    const { fleet, addWorker, emit } = testFleet()
    const router = createRouter({ fleet, policy: kvAware() })
    const worker = await addWorker('a', { dataParallelRanks: 3 })
    emit(holds(worker, tokens, 2, 1))
    const request = routingRequest({ id: 'r', tokens })
    const decision = router.decide(request)
    expect(decision).toMatchObject({ rank: 1, cachedTokens: 32, promptTokens: 64 })
    router.reserve(decision, request)
    expect([0, 1, 2].map(rank => worker.inFlight(rank).waitingPrefillTokens)).toEqual([0, 32, 0])
  })

  it('never promises the last prompt token', async () => {
    const { fleet, addWorker, emit } = testFleet()
    const router = createRouter({ fleet, policy: kvAware() })
    emit(holds(await addWorker('a'), tokens, 4))
    expect(router.decide(routingRequest({ id: 'r', tokens })).cachedTokens).toBe(63)
  })

  it('uses hashes that were computed before for workers of that block size, and hashes the tokens for others', async () => {
    const { fleet, addWorker, emit } = testFleet()
    const router = createRouter({ fleet, policy: kvAware() })
    emit(holds(await addWorker('a', { blockSize: 16 }), tokens, 3))
    emit(holds(await addWorker('b', { blockSize: 8 }), tokens, 7))
    const blockHashes = { blockSize: 16, hashes: chainBlockHashes(tokens, 16) }
    const cached = (fields: object) =>
      router
        .decide(routingRequest({ id: 'r', promptTokens: 64, ...fields }))
        .explain()
        .evaluations.map(({ cachedTokens }) => cachedTokens)
    expect(cached({ blockHashes })).toEqual([48, 0])
    expect(cached({ blockHashes, tokens })).toEqual([48, 56])
  })

  it('honours excluded workers, filters, roles and models, and says why each is out', async () => {
    const { fleet, addWorker } = testFleet()
    await addWorker('failed', { models: ['m'] })
    await addWorker('full', { models: ['m'] })
    await addWorker('other', { models: ['n'] })
    await addWorker('decoder', { role: 'decode' })
    await addWorker('cordoned', { models: ['m'] })
    fleet.cordon('cordoned')
    fleet.lease(fleet.get('full') as Worker, { kind: 'aggregated', requestId: 'x', promptTokens: 1 })
    const policy = composePolicy({ name: 'test', filters: [maxInFlight({ requests: 1 })] })
    const router = createRouter({ fleet, policy })
    const request = routingRequest({ id: 'r', model: 'm', excludedWorkers: ['failed'] })
    const error = thrown(() => router.decide(request))
    expect(error).toMatchObject({ code: 'ROUTE_NO_WORKER', retryable: true })
    const expected = [
      { workerId: 'other', by: 'fleet', reason: 'model' },
      { workerId: 'decoder', by: 'fleet', reason: 'role' },
      { workerId: 'cordoned', by: 'fleet', reason: 'cordoned' },
      { workerId: 'failed', by: 'request', reason: 'excluded' },
      { workerId: 'full', by: 'max-in-flight', reason: '1 of 1 requests' },
    ]
    expect(error.details).toMatchObject({ requestId: 'r', role: 'aggregated', model: 'm', excluded: expected })
    expect(error.message).toContain('full (max-in-flight: 1 of 1 requests)')
    fleet.uncordon('cordoned')
    const decision = router.decide(request)
    expect(decision.worker.id).toBe('cordoned')
    expect(decision.explain().excluded).toEqual(expected.filter(({ workerId }) => workerId !== 'cordoned'))
  })

  it('counts a reservation at once, so that equal requests spread', async () => {
    const { fleet, addWorker } = testFleet()
    for (const id of ['a', 'b', 'c', 'd']) await addWorker(id)
    const router = createRouter({ fleet, policy: kvAware() })
    const counts: Record<string, number> = {}
    for (let index = 0; index < 40; index++) {
      const request = routingRequest({ id: `r${index}`, tokens })
      const decision = router.decide(request)
      router.reserve(decision, request)
      counts[decision.worker.id] = (counts[decision.worker.id] ?? 0) + 1
    }
    expect(counts).toEqual({ a: 10, b: 10, c: 10, d: 10 })
  })

  it('refuses a picker that returns something else', async () => {
    const { fleet, addWorker } = testFleet()
    const worker = await addWorker('a')
    const candidate = { worker } as never
    const policy = composePolicy({ name: 'test', picker: { name: 'liar', pick: () => ({ candidate, total: 0, scores: {} }) } })
    expect(thrown(() => createRouter({ fleet, policy }).decide(routingRequest({ id: 'r' })))).toMatchObject({ code: 'OPTION_INVALID' })
  })

  it('lets the policy be exchanged', async () => {
    const { fleet, addWorker } = testFleet()
    await addWorker('a')
    const router = createRouter({ fleet, policy: kvAware() })
    expect(router.degradations).toEqual([{ code: 'no-tokens' }])
    router.setPolicy(roundRobin())
    expect(router.degradations).toEqual([])
    expect(router.decide(routingRequest({ id: 'r' })).policy).toBe('round-robin')
    expect(thrown(() => router.setPolicy({ ...roundRobin(), picker: {} } as unknown as Policy)).code).toBe('OPTION_INVALID')
    expect(router.policy.name).toBe('round-robin')
  })
})

describe('finding tokens', () => {
  const source = (result: (signal: AbortSignal | undefined) => Promise<Uint32Array | undefined>): TokenSource => ({
    name: 'test-source',
    tokens: (_prompt, { signal }) => result(signal),
  })
  const codes = (reasons: readonly { code: string }[]) => reasons.map(({ code }) => code)

  it('takes ids as they are and asks the source for everything else', async () => {
    const { fleet, addWorker, emit } = testFleet()
    let asked = 0
    const router = createRouter({
      fleet,
      policy: kvAware(),
      tokens: source(async () => {
        asked++
        return tokens
      }),
    })
    emit(holds(await addWorker('a'), tokens, 2))
    const request = routingRequest({ id: 'r', promptTokens: 4 })
    expect(await router.route(request, { kind: 'tokens', tokens })).toMatchObject({ promptTokens: 64, cachedTokens: 32 })
    expect(asked).toBe(0)
    const decision = await router.route(request, text)
    expect(asked).toBe(1)
    expect(decision).toMatchObject({ promptTokens: 64, cachedTokens: 32 })
    expect(decision.reasons).toContainEqual({ code: 'prefix-overlap', values: { cachedTokens: 32, promptTokens: 64 } })
    router.setPolicy(roundRobin())
    await router.route(request, text)
    expect(asked).toBe(1)
  })

  it('goes on without when the source fails or cannot tell, and says so without the prompt', async () => {
    const { fleet, addWorker } = testFleet()
    await addWorker('a')
    const failing = createRouter({
      fleet,
      policy: kvAware(),
      tokens: source(async () => {
        throw new KvFleetError('ENGINE_UNREACHABLE', text.text)
      }),
    })
    const decision = await failing.route(routingRequest({ id: 'r', promptTokens: 4 }), text)
    expect(decision.promptTokens).toBe(4)
    expect(decision.reasons).toContainEqual({ code: 'tokens-failed', values: { source: 'test-source', error: 'ENGINE_UNREACHABLE' } })
    expect(JSON.stringify([decision.reasons, String(decision.explain())])).not.toContain(text.text)
    const unable = createRouter({ fleet, policy: kvAware(), tokens: source(async () => undefined) })
    expect((await unable.route(routingRequest({ id: 'r' }), text)).reasons).toContainEqual({
      code: 'no-tokens',
      values: { source: 'test-source' },
    })
  })

  it('says at start and in every decision what it does without', async () => {
    const { fleet, addWorker } = testFleet({ kvEvents: false })
    await addWorker('a')
    const router = createRouter({ fleet, policy: kvAware() })
    expect(codes(router.degradations)).toEqual(['no-kv-events', 'no-tokens'])
    expect(codes(router.decide(routingRequest({ id: 'r' })).reasons)).toEqual(['no-kv-events', 'no-tokens', 'single-candidate'])
    expect(codes(router.decide(routingRequest({ id: 'r', tokens })).reasons)).toEqual(['no-kv-events', 'single-candidate'])
  })

  it('rejects with ABORTED when the caller aborts, before and while it waits', async () => {
    const { fleet, addWorker } = testFleet()
    await addWorker('a')
    const pending = source(
      signal => new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true })),
    )
    const router = createRouter({ fleet, policy: kvAware(), tokens: pending })
    const controller = new AbortController()
    const waiting = router.route(routingRequest({ id: 'r' }), text, { signal: controller.signal })
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(router.route(routingRequest({ id: 'r' }), text, { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('explaining', () => {
  it('gives the numbers of the moment of the decision, however late it is asked', async () => {
    const { fleet, addWorker, emit, clock, removeWorker } = testFleet()
    const router = createRouter({ fleet, policy: kvAware() })
    const [a] = [await addWorker('a'), await addWorker('b')]
    emit(holds(a, tokens, 2))
    fleet.lease(a, { kind: 'aggregated', requestId: 'x', promptTokens: 10, uncachedTokens: 6 })
    const decision = router.decide(routingRequest({ id: 'r', tokens }))
    fleet.lease(a, { kind: 'aggregated', requestId: 'y', promptTokens: 1000 })
    clock.advanceSync(5000)
    await removeWorker('b')
    const { evaluations } = decision.explain()
    expect(evaluations[0]).toMatchObject({ workerId: 'a', cachedTokens: 32, waitingPrefillTokens: 6, requests: 1 })
    expect(evaluations[1]).toMatchObject({ workerId: 'b', cachedTokens: 0, waitingPrefillTokens: 0, requests: 0 })
    for (const { scores, details } of evaluations) {
      const costMs = details['expected-cost']?.costMs as number
      expect(scores['expected-cost']).toBeCloseTo(1 / (1 + costMs / 1000), 12)
    }
    expect(evaluations.filter(({ picked }) => picked).map(({ workerId }) => workerId)).toEqual([decision.worker.id])
    expect(decision.explain()).toBe(decision.explain())
  })

  it('prints a table that people can read', async () => {
    const { fleet, addWorker, emit } = testFleet()
    const router = createRouter({ fleet, policy: kvAware() })
    const prompt = Uint32Array.from({ length: 8000 }, (_, at) => at)
    emit(holds(await addWorker('gpu-one'), prompt, 300))
    fleet.lease(await addWorker('b'), { kind: 'aggregated', requestId: 'x', promptTokens: 3000 })
    await addWorker('out')
    fleet.cordon('out')
    expect(
      router
        .decide(routingRequest({ id: 'r', tokens: prompt }))
        .explain()
        .toString(),
    ).toMatchInlineSnapshot(`
      "policy kv-aware
         worker   cached  waiting  requests  uncachedMs  queuedMs  interferenceMs  decodeMs  costMs  expected-cost  total
      →  gpu-one    4800        0         0       176.1         0               0         0   176.1          0.850  0.850
         b             0     3000         1         395     143.8             395      23.0   620.1          0.617  0.617
      excluded: out (cordoned)
      reasons: prefix-overlap (cachedTokens=4800, promptTokens=8000)"
    `)
  })
})

describe('the router itself', () => {
  it('refuses options that do not fit, naming them', () => {
    const { fleet } = testFleet()
    const create = (options: object) => thrown(() => createRouter({ fleet, policy: roundRobin(), ...options } as never))
    expect(create({ polcy: 1 }).message).toContain('did you mean "policy"?')
    expect(create({ fleet: {} }).message).toContain('expected a Fleet')
    expect(create({ policy: { name: 'x' } })).toMatchObject({ code: 'OPTION_INVALID' })
    expect(create({ tokens: {} }).message).toContain('expected a TokenSource')
  })

  it('publishes each decision to whoever listens', async () => {
    const { fleet, addWorker } = testFleet()
    await addWorker('a')
    const router = createRouter({ fleet, policy: roundRobin() })
    const messages: TelemetryMessages['kvfleet:decision'][] = []
    const stop = subscribe('kvfleet:decision', message => messages.push(message))
    router.decide(routingRequest({ id: 'r', tokens }))
    stop()
    router.decide(routingRequest({ id: 's', tokens }))
    expect(messages).toEqual([
      { fleet, requestId: 'r', policy: 'round-robin', workerId: 'a', promptTokens: 64, cachedTokens: 0, decideMs: 0 },
    ])
  })

  it('refuses work once it is closed and leaves the fleet open', async () => {
    const { fleet, addWorker } = testFleet()
    await addWorker('a')
    const router = createRouter({ fleet, policy: roundRobin() })
    const request = routingRequest({ id: 'r' })
    const decision = router.decide(request)
    await router.close()
    await router.close()
    expect(thrown(() => router.decide(request)).code).toBe('CLOSED')
    expect(thrown(() => router.reserve(decision, request)).code).toBe('CLOSED')
    await expect(router.route(request)).rejects.toMatchObject({ code: 'CLOSED' })
    expect(thrown(() => router.setPolicy(roundRobin())).code).toBe('CLOSED')
    expect(fleet.candidates().workers).toHaveLength(1)
  })

  it('reads KV events only while some part of the policy wants them', async () => {
    const { clock, fleet, addWorker, emit } = testFleet()
    const router = createRouter({ fleet, policy: roundRobin() })
    const holder = await addWorker('a')
    await addWorker('b')
    const held = () => router.decide(routingRequest({ id: 'r', tokens })).cachedTokens
    emit(holds(holder, tokens, 4))
    expect(held()).toBe(0)

    const nosy = {
      name: 'nosy',
      exclude: (_: unknown, candidate: Candidate, context: PolicyContext) => (context.overlap(candidate).tokens > 0 ? undefined : 'cold'),
    }
    const policyOf = (filter: Filter) => composePolicy({ name: 'warm-only', filters: [filter], scorers: [], picker: inTurn() })
    router.setPolicy(policyOf(nosy))
    const failure = thrown(() => held())
    expect(failure.code).toBe('ROUTE_NO_WORKER')
    const harmless: Filter['exclude'] = (request, candidate, context) => void nosy.exclude(request, candidate, context)
    router.setPolicy(policyOf({ name: 'nosy', exclude: harmless }))
    expect(router.decide(routingRequest({ id: 'r', tokens })).reasons).toContainEqual({ code: 'no-kv-events' })

    router.setPolicy(policyOf({ ...nosy, wants: ['kv-events'] }))
    // The subscription opens a turn later.
    await clock.advance(0)
    emit(holds(holder, tokens, 4))
    expect(held()).toBe(63)
  })

  it('gives up waiting for ids when the caller aborts, whatever the token source does', async () => {
    const { fleet, addWorker } = testFleet()
    await addWorker('a')
    const router = createRouter({ fleet, policy: kvAware(), tokens: { name: 'mute', tokens: () => new Promise(() => {}) } })
    const left = new AbortController()
    const routed = router.route(routingRequest({ id: 'r' }), { kind: 'text', model: '', text: 'x' }, { signal: left.signal })
    left.abort()
    await expect(routed).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('does not reserve on a worker that left in between', async () => {
    const { fleet, addWorker, removeWorker } = testFleet()
    await addWorker('a')
    const router = createRouter({ fleet, policy: roundRobin() })
    const request = routingRequest({ id: 'r' })
    const decision = router.decide(request)
    await removeWorker('a')
    expect(thrown(() => router.reserve(decision, request)).code).toBe('WORKER_PHASE')
  })
})
