import * as v from 'valibot'
import { type Clock, systemClock } from '../clock.js'
import { breakerDefaults, fleetDefaults, probeDefaults } from '../defaults.js'
import type { Fetch } from '../engine.js'
import type { KvEventSource } from '../kv-events/kv-event-source.js'
import { parseOptions } from '../options.js'
import { type Random, systemRandom } from '../random.js'
import type { BreakerOptions, DrainOptions, FleetHooks, FleetOptions, ProbeOptions, RemoveOptions } from './fleet.js'

/** FleetOptions with every default filled in. */
export interface FleetSettings {
  readonly kvEvents: KvEventSource | undefined
  readonly clock: Clock
  readonly random: Random
  readonly fetch: Fetch
  readonly joinTimeoutMs: number
  readonly probes: Required<ProbeOptions> | undefined
  readonly breaker: Required<BreakerOptions> | undefined
  readonly hooks: FleetHooks
  readonly hookTimeoutMs: number
}

const milliseconds = v.pipe(v.number(), v.finite('expected a finite number of milliseconds'), v.minValue(0, 'expected at least 0 ms'))
const positiveMilliseconds = v.pipe(
  v.number(),
  v.finite('expected a finite number of milliseconds'),
  v.gtValue(0, 'expected more than 0 ms'),
)
const count = v.pipe(v.number(), v.integer('expected an integer'), v.minValue(1, 'expected at least 1'))
const share = v.pipe(v.number(), v.minValue(0, 'expected at least 0'), v.maxValue(1, 'expected at most 1'))

/** An object of the host's with these methods: a port. */
export function port<T>(expected: string, ...methods: readonly string[]) {
  const fits = (value: unknown) =>
    typeof value === 'object' && value !== null && methods.every(name => typeof (value as Record<string, unknown>)[name] === 'function')
  return anything<T>(fits, expected)
}

const callback = <T>(expected: string) => anything<T>(value => typeof value === 'function', expected)

/** As a check and not as a custom schema, whose error does not say what was expected. */
function anything<T>(fits: (value: unknown) => boolean, expected: string) {
  return v.pipe(
    v.custom<T>(() => true),
    v.check<T, string>(fits, `expected ${expected}`),
  )
}

const signal = v.optional(v.instance(AbortSignal))

const fleetSchema = v.strictObject({
  kvEvents: v.optional(port<KvEventSource>('a KvEventSource with open()', 'open')),
  clock: v.optional(port<Clock>('a Clock with now() and schedule()', 'now', 'schedule'), systemClock),
  random: v.optional(port<Random>('a Random with next()', 'next'), systemRandom),
  fetch: v.optional(callback<Fetch>('a function like fetch')),
  joinTimeoutMs: v.optional(positiveMilliseconds, fleetDefaults.joinTimeoutMs),
  probes: v.optional(
    v.union([
      v.literal(false),
      v.strictObject({
        intervalMs: v.optional(positiveMilliseconds, probeDefaults.intervalMs),
        timeoutMs: v.optional(positiveMilliseconds, probeDefaults.timeoutMs),
        failureThreshold: v.optional(count, probeDefaults.failureThreshold),
        successThreshold: v.optional(count, probeDefaults.successThreshold),
        jitter: v.optional(share, probeDefaults.jitter),
      }),
    ]),
    {},
  ),
  breaker: v.optional(
    v.union([
      v.literal(false),
      v.strictObject({
        failureThreshold: v.optional(count, breakerDefaults.failureThreshold),
        openMs: v.optional(positiveMilliseconds, breakerDefaults.openMs),
      }),
    ]),
    {},
  ),
  hooks: v.optional(
    v.strictObject({
      beforeReady: v.optional(callback<NonNullable<FleetHooks['beforeReady']>>('a function')),
      afterDrained: v.optional(callback<NonNullable<FleetHooks['afterDrained']>>('a function')),
    }),
    {},
  ),
  hookTimeoutMs: v.optional(positiveMilliseconds, fleetDefaults.hookTimeoutMs),
})

const drainEntries = {
  deadlineMs: v.optional(milliseconds),
  onDeadline: v.optional(v.picklist(['wait', 'abort'])),
  signal,
}
const drainSchema = v.strictObject(drainEntries)
const removeSchema = v.strictObject({ ...drainEntries, force: v.optional(v.boolean()) })
const addSchema = v.strictObject({ signal })

export function parseFleetOptions(options: FleetOptions): FleetSettings {
  const parsed = parseOptions('createFleet', fleetSchema, options)
  return {
    ...parsed,
    kvEvents: parsed.kvEvents,
    fetch: parsed.fetch ?? ((url, init) => fetch(url, init)),
    probes: parsed.probes || undefined,
    breaker: parsed.breaker || undefined,
    hooks: options.hooks ?? {},
  }
}

export function parseAddOptions(options: { readonly signal?: AbortSignal }): AbortSignal | undefined {
  return parseOptions('fleet.add', addSchema, options).signal
}

export function parseDrainOptions(options: DrainOptions): void {
  parseOptions('fleet.drain', drainSchema, options)
}

export function parseRemoveOptions(options: RemoveOptions): void {
  parseOptions('fleet.remove', removeSchema, options)
}
