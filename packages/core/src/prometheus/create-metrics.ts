import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import * as v from 'valibot'
import type { Fleet } from '../fleet/fleet.js'
import type { Lease } from '../lease.js'
import { parseOptions } from '../options.js'
import { subscribe } from '../telemetry.js'
import { type MetricDefinition, type MetricKey, metricDefinitions } from './metric-definitions.js'
import { WorkerSeries } from './worker-series.js'

export interface MetricsOptions {
  readonly fleet: Fleet
  /** Where the metrics are registered, beside the host's own. Default: a registry of their own. */
  readonly registry?: Registry
}

export interface Metrics {
  readonly registry: Registry
  readonly contentType: string
  /** The whole registry in Prometheus' text format. */
  text(): Promise<string>
  /** Stops counting and takes the metrics out of the registry. Idempotent. */
  close(): void
}

const schema = v.strictObject({
  fleet: v.pipe(
    v.unknown(),
    v.check(value => typeof (value as Fleet | null)?.on === 'function', 'expected a Fleet (createFleet)'),
  ),
  registry: v.optional(
    v.pipe(
      v.unknown(),
      v.check(value => typeof (value as Registry | null)?.registerMetric === 'function', "expected prom-client's Registry"),
      v.check(
        value => !(value as Registry).getSingleMetric(metricDefinitions.workers.name),
        'expected a registry without the metrics of another fleet',
      ),
    ),
  ),
})

/** Counts what one fleet does, from its events and from those telemetry messages that name it. Throws OPTION_INVALID. */
export function createMetrics(options: MetricsOptions): Metrics {
  parseOptions('createMetrics', schema, options)
  const { fleet, registry = new Registry() } = options
  const { clock } = fleet
  const series = new WorkerSeries()
  const on = { registers: [registry] }
  const counter = (key: MetricKey) => {
    const metric = new Counter({ ...described(key), ...on })
    return (labels: Readonly<Record<string, string>>, amount = 1) => {
      series.used(metric, labels)
      metric.inc(labels, amount)
    }
  }
  const histogram = (key: MetricKey) => {
    const metric = new Histogram({ ...described(key), buckets: [...((metricDefinitions[key] as MetricDefinition).buckets ?? [])], ...on })
    return (labels: Readonly<Record<string, string>>, milliseconds: number) => {
      series.used(metric, labels)
      metric.observe(labels, milliseconds / 1000)
    }
  }
  /** Read when somebody looks: the fleet holds the truth. */
  const gauge = (key: MetricKey, read: (add: (labels: Readonly<Record<string, string>>, value: number) => void) => void) => {
    new Gauge({
      ...described(key),
      ...on,
      collect() {
        this.reset()
        read((labels, value) => this.inc(labels, value))
      },
    })
  }

  gauge('workers', add => {
    for (const { phase, health } of fleet.list()) add({ phase, health }, 1)
  })
  gauge('inFlightRequests', add => {
    for (const worker of fleet.list()) add({ worker: worker.id }, worker.leases)
  })
  gauge('waitingPrefillTokens', add => {
    for (const worker of fleet.list()) {
      for (let rank = 0; rank < worker.dataParallelRanks; rank++) add({ worker: worker.id }, worker.inFlight(rank).waitingPrefillTokens)
    }
  })
  const requests = counter('requests')
  const requestDuration = histogram('requestDuration')
  const timeToFirstToken = histogram('timeToFirstToken')
  const leases = counter('leases')
  const promptTokens = counter('promptTokens')
  const cachedTokens = counter('cachedTokens')
  const decisions = counter('decisions')
  const decisionDuration = histogram('decisionDuration')
  const kvEvents = counter('kvEvents')
  const kvResets = counter('kvResets')
  const drains = counter('drains')
  const drainDuration = histogram('drainDuration')

  /** A worker that has left gets no new series. */
  const workerLabel = (id: string | undefined) => (id !== undefined && fleet.get(id) !== undefined ? id : '')
  const drainingSince = new Map<string, number>()
  const leaseTaken = ({ worker, request }: Lease) => {
    promptTokens({ worker: worker.id }, request.promptTokens)
    cachedTokens({ worker: worker.id }, request.promptTokens - (request.uncachedTokens ?? request.promptTokens))
  }

  const subscriptions = [
    fleet.on('lease', ({ lease, state, outcome }) => {
      if (state === 'taken') leaseTaken(lease)
      else if (state === 'ended') leases({ worker: lease.worker.id, outcome: outcome ?? 'completed' })
    }),
    // Counting is no reason to have events decoded.
    fleet.on(
      'kv',
      item => {
        if (item.source.kind !== 'worker') return
        const worker = item.source.workerId
        if (item.type === 'batch') kvEvents({ worker }, item.events.length)
        else kvResets({ worker, reason: item.reason })
      },
      { passive: true },
    ),
    fleet.on('phase', ({ worker, from, to }) => {
      if (to === 'draining') drainingSince.set(worker.id, clock.now())
      if (from === 'draining') {
        drains({ outcome: to })
        drainDuration({}, clock.now() - (drainingSince.get(worker.id) ?? clock.now()))
        drainingSince.delete(worker.id)
      }
      if (to === 'removed') series.forget(worker.id)
    }),
    subscribe('kvfleet:decision', message => {
      if (message.fleet !== fleet) return
      decisions({ policy: message.policy, worker: workerLabel(message.workerId) })
      decisionDuration({ policy: message.policy }, message.decideMs)
    }),
    subscribe('kvfleet:request', message => {
      if (message.fleet !== fleet) return
      const worker = workerLabel(message.workerId)
      requests({ worker, outcome: message.outcome })
      requestDuration({ outcome: message.outcome }, message.totalMs)
      if (message.ttftMs !== undefined) timeToFirstToken({ worker }, message.ttftMs)
    }),
  ]

  let closed = false
  return {
    registry,
    contentType: registry.contentType,
    text: () => registry.metrics(),
    close() {
      if (closed) return
      closed = true
      for (const unsubscribe of subscriptions) unsubscribe()
      for (const { name } of Object.values(metricDefinitions)) registry.removeSingleMetric(name)
    },
  }
}

function described(key: MetricKey): { name: string; help: string; labelNames: readonly string[] } {
  const { name, meaning, labels } = metricDefinitions[key]
  return { name, help: meaning, labelNames: labels }
}
