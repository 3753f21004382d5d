import { type EngineProfile, parseOptions } from '@kvfleet/core'
import type { Policy } from '@kvfleet/router'
import * as v from 'valibot'
import { defaults } from '../defaults.js'
import type { TraceBlockHashes } from '../workload/prompt-tokens.js'
import type { Trace } from '../workload/trace.js'
import { demonstration, type SimulatedFleetEngine } from './demonstration.js'

/** What an operator does during the run; `atMs` is trace time. */
export type SimulationAction =
  | { readonly atMs: number; readonly type: 'drain'; readonly workerId: string; readonly deadlineMs?: number }
  | { readonly atMs: number; readonly type: 'add'; readonly workerId: string }

export interface SimulationOptions {
  readonly trace: Trace
  readonly policy: Policy
  /** Workers at the start, named `w0`, `w1`, … Default: that of `demonstration`. */
  readonly workers?: number
  /** Default: that of `demonstration`, a stand-in. */
  readonly engine?: SimulatedFleetEngine
  /** Of the policy's random choices. */
  readonly seed?: number | string
  /** From a block's storing to the router's index; `false`: the engines publish no events. Default: 50. */
  readonly kvEventDelayMs?: number | false
  readonly actions?: readonly SimulationAction[]
  /** Hashes of the trace at the engine's block size, when several runs share them. Default: computed. */
  readonly blockHashes?: TraceBlockHashes
  /** Name of the run. Default: the policy's. */
  readonly name?: string
  readonly signal?: AbortSignal
}

const nonNegative = v.pipe(v.number(), v.finite(), v.minValue(0))
const positiveInteger = v.pipe(v.number(), v.integer(), v.minValue(1))
const workerId = v.pipe(v.string(), v.minLength(1))
const anObject = <T>() => v.custom<T>(value => typeof value === 'object' && value !== null)

const schema = v.strictObject({
  trace: anObject<Trace>(),
  policy: anObject<Policy>(),
  workers: v.optional(positiveInteger, demonstration.workers),
  engine: v.optional(
    v.strictObject({
      // The simulated engine checks its profile itself.
      profile: anObject<EngineProfile>(),
      blockSize: positiveInteger,
      kvBlocks: positiveInteger,
      maxRunningRequests: v.exactOptional(positiveInteger),
    }),
    demonstration.engine,
  ),
  seed: v.optional(v.union([v.number(), v.string()]), defaults.seed),
  kvEventDelayMs: v.optional(v.union([v.literal(false), nonNegative]), defaults.kvEventDelayMs),
  actions: v.optional(
    v.array(
      v.variant('type', [
        v.strictObject({ atMs: nonNegative, type: v.literal('drain'), workerId, deadlineMs: v.exactOptional(nonNegative) }),
        v.strictObject({ atMs: nonNegative, type: v.literal('add'), workerId }),
      ]),
    ),
    [],
  ),
  blockHashes: v.optional(anObject<TraceBlockHashes>()),
  name: v.optional(v.string()),
  signal: v.optional(v.instance(AbortSignal)),
})

export function parseSimulationOptions(options: SimulationOptions) {
  return parseOptions('simulate', schema, options)
}
