import { KvFleetError } from '@kvfleet/core'
import { createRouter } from '../create-router.js'
import type { Policy } from '../policy.js'
import { routingRequest } from '../routing-request.js'
import { simulateRouter } from './simulate-router.js'
import { edgeRequests, type SuiteTools } from './suite.js'
import { testFilter } from './test-filter.js'
import { testPicker } from './test-picker.js'
import { testScorer } from './test-scorer.js'

/** What every policy keeps to, its parts included: runs the suites of its filters, scorers and picker first. */
export function testPolicy(create: () => Policy, tools: SuiteTools): void {
  const { it, expect } = tools
  const sample = create()
  const { name } = sample
  sample.filters.forEach((_, at) => testFilter(() => part(create().filters, at), tools))
  sample.scorers.forEach((_, at) => testScorer(() => part(create().scorers, at).scorer, tools))
  testPicker(() => create().picker, tools)

  it(`policy ${name}: serves every kind of request on a single idle worker`, async () => {
    const { router, addWorker, endAll, send, fleet } = simulateRouter({ policy: create() })
    await addWorker('aggregated')
    await addWorker('decode', { role: 'decode' })
    for (const request of edgeRequests()) {
      expect([...send(1, request).keys()]).toEqual([request.role])
      endAll()
    }
    expect(
      router
        .decide(routingRequest({ id: 'r' }))
        .explain()
        .toString()
        .includes(name),
    ).toBe(true)
    await fleet.close()
  })

  it(`policy ${name}: decides the same again with the same seed`, async () => {
    const run = async () => {
      const { router, addWorker, fleet, clock } = simulateRouter({ policy: create(), seed: 3 })
      for (const id of ['a', 'b', 'c']) await addWorker(id, { dataParallelRanks: id === 'c' ? 2 : 1 })
      const picked = Array.from({ length: 60 }, (_, at) => {
        const request = routingRequest({ id: `r${at}`, promptTokens: (at * 37) % 500 })
        const decision = router.decide(request)
        const lease = router.reserve(decision, request)
        if (at % 2 === 0) lease.firstToken()
        if (at % 3 === 0) lease.end('completed')
        clock.advanceSync(10)
        return `${decision.worker.id}/${decision.rank}`
      })
      await fleet.close()
      return picked
    }
    expect(await run()).toEqual(await run())
  })

  it(`policy ${name}: never takes a worker that the request excludes or the fleet holds back`, async () => {
    const { router, addWorker, fleet } = simulateRouter({ policy: create() })
    for (const id of ['a', 'b', 'c']) await addWorker(id)
    fleet.cordon('b')
    for (let at = 0; at < 20; at++) {
      expect(router.decide(routingRequest({ id: `r${at}`, excludedWorkers: ['a'] })).worker.id).toBe('c')
    }
    let code: string | undefined
    try {
      router.decide(routingRequest({ id: 'none', excludedWorkers: ['a', 'c'] }))
    } catch (error) {
      code = KvFleetError.is(error) ? error.code : undefined
    }
    expect(code).toBe('ROUTE_NO_WORKER')
    await fleet.close()
  })

  it(`policy ${name}: works without KV events and tokens, and the router says what is missing`, async () => {
    const { addWorker, fleet } = simulateRouter({ policy: create(), kvEvents: false })
    await addWorker('a')
    const router = createRouter({ fleet, policy: create() })
    const wants = new Set(create().scorers.flatMap(({ scorer }) => scorer.wants ?? []))
    const missing = [...(wants.has('kv-events') ? ['no-kv-events'] : []), ...(wants.has('tokens') ? ['no-tokens'] : [])]
    const codes = router.decide(routingRequest({ id: 'r', promptTokens: 10 })).reasons.map(({ code }) => code)
    expect(missing.filter(code => !codes.includes(code))).toEqual([])
    expect(router.degradations.map(({ code }) => code)).toEqual(missing)
    await fleet.close()
  })
}

function part<T>(parts: readonly T[], at: number): T {
  return parts[at] as T
}
