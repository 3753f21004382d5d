import { Counter, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import type { KvEventSourceContext } from '../kv-events/kv-event-source.js'
import { publish, type TelemetryMessages } from '../telemetry.js'
import { fleetFixture, leaseRequest } from '../testing/fleet-fixture.js'
import { createMetrics, metricDefinitions } from './index.js'

/** The samples of a page: name and labels to value; buckets are left out. */
async function samples(metrics: { text(): Promise<string> }): Promise<Record<string, number>> {
  const lines = (await metrics.text()).split('\n').filter(line => line !== '' && !line.startsWith('#') && !line.includes('_bucket'))
  return Object.fromEntries(lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))
}

const request = (message: Partial<TelemetryMessages['kvfleet:request']> & Pick<TelemetryMessages['kvfleet:request'], 'fleet'>) =>
  publish('kvfleet:request', () => ({
    requestId: 'r',
    workerId: 'a',
    status: 200,
    outcome: 'completed',
    ttftMs: 250,
    totalMs: 1500,
    ...message,
  }))

describe('the metrics of a fleet', () => {
  it('show its workers and what is in flight as they are when somebody looks', async () => {
    const { fleet, join } = fleetFixture()
    const metrics = createMetrics({ fleet })
    const a = await join('a', { dataParallelRanks: 2 })
    await join('b')
    fleet.lease(a, leaseRequest({ promptTokens: 100, uncachedTokens: 40 }))
    fleet.lease(a, leaseRequest({ rank: 1, promptTokens: 10 }))
    expect(await samples(metrics)).toMatchObject({
      'kvfleet_workers{phase="active",health="healthy"}': 2,
      'kvfleet_in_flight_requests{worker="a"}': 2,
      'kvfleet_in_flight_requests{worker="b"}': 0,
      'kvfleet_waiting_prefill_tokens{worker="a"}': 50,
      'kvfleet_prompt_tokens_total{worker="a"}': 110,
      'kvfleet_cached_tokens_total{worker="a"}': 60,
    })
    await fleet.close()
    expect(Object.keys(await samples(metrics)).filter(name => name.includes('worker'))).toEqual([])
  })

  it('count leases, drains and KV events', async () => {
    let feed: KvEventSourceContext | undefined
    const kvEvents = {
      name: 'test',
      open: async (_: unknown, context: KvEventSourceContext) => {
        feed = context
        return { sources: 1, close: async () => {} }
      },
    }
    const { fleet, join, clock } = fleetFixture({ kvEvents })
    const metrics = createMetrics({ fleet })
    const a = await join('a')
    const source = { kind: 'worker', workerId: 'a', incarnation: 1, rank: 0 } as const
    const cleared = { type: 'cleared', holder: source } as const
    feed?.onItem({ type: 'batch', source, sequence: 0, publishedAtMs: 0, events: [cleared, cleared] })
    feed?.onItem({ type: 'reset', source, reason: 'gap' })
    const lease = fleet.lease(a, leaseRequest())
    fleet.lease(a, leaseRequest()).end('completed')
    expect(await samples(metrics)).toMatchObject({
      'kvfleet_kv_events_total{worker="a"}': 2,
      'kvfleet_kv_resets_total{worker="a",reason="gap"}': 1,
      'kvfleet_leases_total{worker="a",outcome="completed"}': 1,
    })
    const drained = fleet.drain('a', { deadlineMs: 3000, onDeadline: 'abort' })
    await clock.advance(3000)
    await drained
    lease.end('completed')
    expect(await samples(metrics)).toMatchObject({
      'kvfleet_leases_total{worker="a",outcome="aborted"}': 1,
      'kvfleet_drains_total{outcome="drained"}': 1,
      kvfleet_drain_duration_seconds_sum: 3,
      kvfleet_drain_duration_seconds_count: 1,
    })
    await fleet.close()
  })

  it('count the decisions and requests of their own fleet alone', async () => {
    const { fleet, join } = fleetFixture()
    const other = fleetFixture()
    await join('a')
    await other.join('a')
    const metrics = createMetrics({ fleet })
    request({ fleet })
    request({ fleet, outcome: 'failed', status: 503, workerId: undefined, ttftMs: undefined, totalMs: 500 })
    request({ fleet: other.fleet })
    const decision = { requestId: 'r', policy: 'p', workerId: 'a', promptTokens: 1, cachedTokens: 0, decideMs: 2 }
    publish('kvfleet:decision', () => ({ fleet, ...decision }))
    publish('kvfleet:decision', () => ({ fleet: other.fleet, ...decision }))
    expect(await samples(metrics)).toMatchObject({
      'kvfleet_requests_total{worker="a",outcome="completed"}': 1,
      'kvfleet_requests_total{worker="",outcome="failed"}': 1,
      'kvfleet_request_duration_seconds_sum{outcome="completed"}': 1.5,
      'kvfleet_request_duration_seconds_sum{outcome="failed"}': 0.5,
      'kvfleet_time_to_first_token_seconds_sum{worker="a"}': 0.25,
      'kvfleet_time_to_first_token_seconds_count{worker="a"}': 1,
      'kvfleet_decisions_total{policy="p",worker="a"}': 1,
      'kvfleet_decision_duration_seconds_sum{policy="p"}': 0.002,
    })
    await fleet.close()
    await other.fleet.close()
  })

  it('forget a worker that has left, even when a late message names it', async () => {
    const { fleet, join } = fleetFixture()
    const metrics = createMetrics({ fleet })
    fleet.lease(await join('a'), leaseRequest()).end('completed')
    fleet.lease(await join('b'), leaseRequest()).end('completed')
    request({ fleet })
    request({ fleet, workerId: 'b' })
    await fleet.remove('a')
    request({ fleet })
    const page = await metrics.text()
    expect(page).not.toContain('worker="a"')
    expect(await samples(metrics)).toMatchObject({
      'kvfleet_requests_total{worker="b",outcome="completed"}': 1,
      'kvfleet_requests_total{worker="",outcome="completed"}': 1,
    })
    await fleet.close()
  })

  it("stand beside a host's own metrics and go when they are closed", async () => {
    const { fleet, join } = fleetFixture()
    const registry = new Registry()
    new Counter({ name: 'own_total', help: 'mine', registers: [registry] }).inc()
    const metrics = createMetrics({ fleet, registry })
    expect(metrics.registry).toBe(registry)
    expect(() => createMetrics({ fleet, registry })).toThrow('registry: expected a registry without the metrics of another fleet')
    const a = await join('a')
    metrics.close()
    metrics.close()
    fleet.lease(a, leaseRequest()).end('completed')
    expect(await samples(metrics)).toEqual({ own_total: 1 })
    createMetrics({ fleet, registry }).close()
    await fleet.close()
  })

  it('refuse what is no fleet and no registry', async () => {
    const { fleet } = fleetFixture()
    expect(() => createMetrics({ fleet: {} } as never)).toThrow('expected a Fleet')
    expect(() => createMetrics({ fleet, registry: {} } as never)).toThrow("expected prom-client's Registry")
    expect(() => createMetrics({ fleet, registri: 1 } as never)).toThrow('did you mean "registry"?')
    await fleet.close()
  })
})

describe('the table of metrics', () => {
  it('is what the page shows: names, types, meanings', async () => {
    const { fleet } = fleetFixture()
    const page = await createMetrics({ fleet }).text()
    for (const { name, type, meaning } of Object.values(metricDefinitions)) {
      expect(page).toContain(`# HELP ${name} ${meaning}\n# TYPE ${name} ${type}\n`)
    }
    expect(page.match(/# TYPE/g)).toHaveLength(Object.keys(metricDefinitions).length)
    await fleet.close()
  })

  it("keeps Prometheus' habits", () => {
    for (const { name, type } of Object.values(metricDefinitions)) {
      expect(name).toMatch(/^kvfleet_[a-z_]+$/)
      expect(name.endsWith('_total')).toBe(type === 'counter')
      if (type === 'histogram') expect(name.endsWith('_seconds')).toBe(true)
    }
  })
})
