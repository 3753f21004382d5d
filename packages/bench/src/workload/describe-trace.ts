import { percentile } from '../metrics/percentile.js'
import type { Trace } from './trace.js'

export interface LengthStatistics {
  readonly mean: number
  readonly p50: number
  readonly p95: number
  readonly max: number
}

/** What matters of a workload to a router; shares are 0 to 1. */
export interface TraceStatistics {
  readonly requests: number
  /** From the first to the last arrival. */
  readonly durationMs: number
  readonly promptTokens: LengthStatistics
  readonly outputTokens: LengthStatistics
  /** Requests that, on arrival, find their first block seen before and no other. */
  readonly onlyFirstBlockShare: number
  /** Leading blocks seen before over all blocks: what one cache of endless size would hit. */
  readonly prefixHitShare: number
  /** The same for the first requests alone; undefined when the trace is shorter. */
  readonly prefixHitShareOfFirst: { readonly 300: number | undefined; readonly 1000: number | undefined; readonly 2000: number | undefined }
  readonly arrivalsPerSecond: number
  /** Standard deviation over mean of the arrivals in windows of 3 s (1 / √mean for a Poisson process). */
  readonly arrivalVariation: number
}

/** Mooncake's tick: finer windows would see its rounding. */
const WINDOW_MS = 3000

export function describeTrace(trace: Trace): TraceStatistics {
  const seen = new Set<number>()
  let hits = 0
  let blocks = 0
  let onlyFirst = 0
  const hitShareAt = new Map<number, number>()
  for (const { index, blockIds } of trace.requests) {
    let leading = 0
    while (leading < blockIds.length && seen.has(blockIds[leading] as number)) leading++
    for (const id of blockIds) seen.add(id)
    hits += leading
    blocks += blockIds.length
    if (leading === 1) onlyFirst++
    hitShareAt.set(index + 1, blocks === 0 ? 0 : hits / blocks)
  }
  const requests = trace.requests.length
  const durationMs = (trace.requests.at(-1)?.arrivalMs ?? 0) - (trace.requests[0]?.arrivalMs ?? 0)
  return {
    requests,
    durationMs,
    promptTokens: lengths(trace.requests.map(request => request.promptTokens)),
    outputTokens: lengths(trace.requests.map(request => request.outputTokens)),
    onlyFirstBlockShare: requests === 0 ? 0 : onlyFirst / requests,
    prefixHitShare: hitShareAt.get(requests) ?? 0,
    prefixHitShareOfFirst: { 300: hitShareAt.get(300), 1000: hitShareAt.get(1000), 2000: hitShareAt.get(2000) },
    arrivalsPerSecond: durationMs === 0 ? 0 : requests / (durationMs / 1000),
    arrivalVariation: variation(trace),
  }
}

function lengths(values: readonly number[]): LengthStatistics {
  const sorted = Float64Array.from(values).sort()
  const mean = sorted.reduce((sum, value) => sum + value, 0) / Math.max(1, sorted.length)
  return { mean, p50: percentile(sorted, 0.5), p95: percentile(sorted, 0.95), max: sorted.at(-1) ?? Number.NaN }
}

/** Over whole windows; the last one is cut by the trace's end. */
function variation(trace: Trace): number {
  const last = trace.requests.at(-1)?.arrivalMs ?? 0
  const counts = new Float64Array(Math.floor(last / WINDOW_MS))
  for (const { arrivalMs } of trace.requests) {
    const window = Math.floor(arrivalMs / WINDOW_MS)
    if (window < counts.length) counts[window] = (counts[window] as number) + 1
  }
  if (counts.length < 2) return 0
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length
  const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / counts.length
  return Math.sqrt(variance) / mean
}
