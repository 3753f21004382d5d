import type { RequestRecord } from '../metrics/request-record.js'
import type { RunSummary } from '../metrics/summarize.js'

/** What is kept of one or several runs over the same workload: plain JSON, enough to draw every report again. */
export interface RunDocument {
  readonly title: string
  /** ISO 8601; given by the caller, so that equal runs give equal documents. */
  readonly createdAt: string
  /** True when any figure comes from a simulated engine, an emulated network or a double. */
  readonly standIn: boolean
  /** The machine the run was made on, in words. */
  readonly machine: string
  readonly parameters: Readonly<Record<string, string | number | boolean>>
  /** What a reader must know: how the workload was changed, what was left out. */
  readonly notes: readonly string[]
  readonly series: readonly RunSeries[]
  /** What was done during every run, in model time: a drain that began, a worker that was added. */
  readonly events: readonly RunEvent[]
}

export interface RunEvent {
  readonly at: number
  readonly label: string
}

export interface RunSeries {
  readonly name: string
  readonly summary: RunSummary
  readonly records: CompactRecords
  /** What happened in this run only: a drain that ended. */
  readonly events: readonly RunEvent[]
}

/** Request records by column, times rounded to 0.1 ms. Entry i of each column is one request. */
export interface CompactRecords {
  readonly intendedAt: readonly number[]
  readonly endedAt: readonly number[]
  /** null: no token came. */
  readonly ttftMs: readonly (number | null)[]
  readonly cachedTokens: readonly (number | null)[]
  readonly promptTokens: readonly number[]
  /** Position in workerIds; -1 when unknown. */
  readonly worker: readonly number[]
  readonly workerIds: readonly string[]
  /** Positions of the requests that failed. */
  readonly failed: readonly number[]
}

export function runSeries(
  name: string,
  summary: RunSummary,
  records: readonly RequestRecord[],
  events: readonly RunEvent[] = [],
): RunSeries {
  return { name, summary, records: compactRecords(records), events }
}

function compactRecords(records: readonly RequestRecord[]): CompactRecords {
  const workerIds = [...new Set(records.flatMap(record => record.workerId ?? []))].sort()
  const positions = new Map(workerIds.map((id, position) => [id, position]))
  return {
    intendedAt: records.map(record => round(record.intendedAt)),
    endedAt: records.map(record => round(record.endedAt)),
    ttftMs: records.map(({ firstTokenAt, intendedAt }) => (firstTokenAt === undefined ? null : round(firstTokenAt - intendedAt))),
    cachedTokens: records.map(record => record.cachedTokens ?? null),
    promptTokens: records.map(record => record.promptTokens),
    worker: records.map(record => (record.workerId === undefined ? -1 : (positions.get(record.workerId) ?? -1))),
    workerIds,
    failed: records.flatMap((record, position) => (record.outcome === 'failed' ? position : [])),
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
