import { type Random, seededRandom } from '@kvfleet/core'
import * as v from 'valibot'
import { defaults } from '../defaults.js'
import type { Trace, TraceRequest } from './trace.js'

export interface TraceReadOptions {
  /** Read only the first requests. Default: all. */
  readonly limit?: number
  /**
   * Spread requests that carry the same coarse timestamp at random over their tick: sent in one burst they would measure
   * the rounding of the trace. Has no effect on traces with fine timestamps. Default: true.
   */
  readonly spreadTicks?: boolean
  /** Length of a tick. Default: 3,000 for Mooncake's format, 0 for Azure's. */
  readonly tickMs?: number
  /** Divides every arrival time; lengths and sharing stay. Default: 1. */
  readonly speedUp?: number
  /** Seed of the spreading. */
  readonly seed?: number | string
  /** Tokens per entry of `hash_ids`. Default: 512. Mooncake's format only. */
  readonly blockTokens?: number
  readonly signal?: AbortSignal
}

export const traceReadOptionsSchema = v.strictObject({
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  spreadTicks: v.optional(v.boolean(), true),
  tickMs: v.optional(v.pipe(v.number(), v.minValue(0))),
  speedUp: v.optional(v.pipe(v.number(), v.finite(), v.gtValue(0)), 1),
  seed: v.optional(v.union([v.number(), v.string()]), defaults.seed),
  blockTokens: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), defaults.mooncakeBlockTokens),
  signal: v.optional(v.instance(AbortSignal)),
})

/** A request as a file has it, in the file's order and its own time. */
export type RawRequest = Omit<TraceRequest, 'index'>

export interface Arrangement {
  readonly name: string
  readonly blockTokens: number
  readonly tickMs: number
  readonly spreadTicks: boolean
  readonly speedUp: number
  readonly seed: number | string
  readonly limit: number | undefined
}

/** Orders by arrival, starts at 0, spreads ticks, speeds up, and notes what it did. */
export function arrangeTrace(raw: readonly RawRequest[], arrangement: Arrangement): Trace {
  const { name, blockTokens, tickMs, spreadTicks, speedUp, seed, limit } = arrangement
  const notes: string[] = []
  if (limit !== undefined) notes.push(`cut to the first ${raw.length} requests`)
  let requests = raw
  if (spreadTicks && isTicked(requests, tickMs)) {
    requests = spread(requests, tickMs, seededRandom(`${seed}/ticks`))
    notes.push(`requests of one ${tickMs} ms tick spread at random inside it (seed ${seed})`)
  }
  if (requests.some((request, index) => index > 0 && request.arrivalMs < (requests[index - 1] as RawRequest).arrivalMs)) {
    requests = [...requests].sort((a, b) => a.arrivalMs - b.arrivalMs)
    notes.push('sorted by arrival')
  }
  if (speedUp !== 1) notes.push(`arrival times divided by ${speedUp}`)
  // A tick's own start stays the origin: the first request of a spread tick arrives after it.
  const origin = raw.reduce((least, request) => Math.min(least, request.arrivalMs), Number.POSITIVE_INFINITY)
  return {
    name,
    blockTokens,
    requests: requests.map((request, index) => ({ ...request, index, arrivalMs: (request.arrivalMs - origin) / speedUp })),
    notes,
  }
}

/** Timestamps may be a millisecond or two off their tick; a trace of which a tenth is elsewhere has fine timestamps. */
function isTicked(requests: readonly RawRequest[], tickMs: number): boolean {
  if (tickMs <= 0) return false
  const off = requests.filter(({ arrivalMs }) => Math.abs(arrivalMs - tickMs * Math.round(arrivalMs / tickMs)) > TICK_JITTER_MS)
  return off.length <= requests.length / 10
}

const TICK_JITTER_MS = 2

/** Gives the k requests of each tick k ordered uniform times inside it; their order in the file is kept. */
function spread(requests: readonly RawRequest[], tickMs: number, random: Random): RawRequest[] {
  const result: RawRequest[] = []
  let start = 0
  while (start < requests.length) {
    const at = (requests[start] as RawRequest).arrivalMs
    let end = start
    while (end < requests.length && requests[end]?.arrivalMs === at) end++
    const offsets = Array.from({ length: end - start }, () => random.next() * tickMs).sort((a, b) => a - b)
    for (let index = start; index < end; index++) {
      result.push({ ...(requests[index] as RawRequest), arrivalMs: at + (offsets[index - start] as number) })
    }
    start = end
  }
  return result
}
