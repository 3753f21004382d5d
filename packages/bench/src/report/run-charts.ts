import { percentile } from '../metrics/percentile.js'
import { linearAxis, logarithmicAxis, timeAxis } from './axis.js'
import { barChart, type ChartLine, lineChart } from './chart.js'
import { durationTick, durationTicks, formatDuration, formatNumber, formatShare } from './format.js'
import type { RunDocument, RunSeries } from './run-document.js'

const WIDE = 1080
const HALF = 520
const CDF_POINTS = 160
const TIME_WINDOWS = 60

/** Share of requests by TTFT, one line a series. Failed requests have no TTFT: their lines end below 100 %. */
export function ttftCdf({ series }: RunDocument): string {
  const sorted = series.map(sortedTtft)
  const { low, high } = range(sorted)
  const lines = series.map(({ records }, colour): ChartLine => {
    const values = sorted[colour] as Float64Array
    const reach = values.length / Math.max(1, records.intendedAt.length)
    const points = Array.from({ length: CDF_POINTS + 1 }, (_, index) => {
      const share = index / CDF_POINTS
      return [percentile(values, share), share * reach] as const
    })
    return {
      colour,
      points: values.length === 0 ? [] : points,
      tooltip: ([x, y]) => `${name(series, colour)}: ${formatShare(y)} within ${formatDuration(x)}`,
    }
  })
  return lineChart(
    {
      title: 'Cumulative distribution of the time to first token',
      width: HALF,
      height: 320,
      x: logarithmicAxis(low, high),
      y: linearAxis(0, 1),
      xLabel: 'time to first token (logarithmic)',
      yLabel: 'share of requests',
      formatX: durationTick,
      formatY: value => `${Math.round(value * 100)} %`,
    },
    lines,
  )
}

/** A percentile of TTFT in windows of arrival time. */
export function ttftOverTime(document: RunDocument, share: number): string {
  const { series, events } = document
  const span = timeSpan(series)
  const windowMs = Math.max(1, span / TIME_WINDOWS)
  const lines = series.map(({ records }, colour): ChartLine => {
    const windows = Array.from({ length: TIME_WINDOWS }, (): number[] => [])
    for (const [index, at] of records.intendedAt.entries()) {
      const ttftMs = records.ttftMs[index]
      if (typeof ttftMs === 'number') windows[Math.min(TIME_WINDOWS - 1, Math.floor(at / windowMs))]?.push(ttftMs)
    }
    const points = windows.map((values, index) => [(index + 0.5) * windowMs, percentile(Float64Array.from(values).sort(), share)] as const)
    return { colour, points, tooltip: ([at, ttftMs]) => `${name(series, colour)} at ${formatDuration(at)}: ${formatDuration(ttftMs)}` }
  })
  const { low, high } = range(
    lines.map(line =>
      Float64Array.from(line.points, point => point[1])
        .filter(value => !Number.isNaN(value))
        .sort(),
    ),
  )
  return lineChart(
    {
      title: `TTFT p${Math.round(share * 100)} over time`,
      width: WIDE,
      height: 270,
      x: timeAxis(0, span),
      y: logarithmicAxis(low, high),
      xLabel: `arrival, in windows of ${formatDuration(windowMs)}`,
      yLabel: `TTFT p${Math.round(share * 100)} (logarithmic)`,
      formatX: durationTicks(span),
      formatY: durationTick,
      markers: events,
    },
    lines,
  )
}

/** Requests in flight on each worker of one series; `highest` makes the scales of several charts equal. */
export function inFlightOverTime(document: RunDocument, series: RunSeries, highest: number): string {
  const span = timeSpan(document.series)
  const lines = inFlightByWorker(series, span).map(
    (points, worker): ChartLine => ({
      colour: worker,
      points,
      tooltip: ([at, requests]) => `${series.records.workerIds[worker]} at ${formatDuration(at)}: ${formatNumber(requests)} in flight`,
    }),
  )
  return lineChart(
    {
      title: `Requests in flight by worker: ${series.name}`,
      width: HALF,
      height: 230,
      x: timeAxis(0, span, 6),
      y: linearAxis(0, highest, 4),
      xLabel: 'time',
      yLabel: 'in flight',
      formatX: durationTicks(span),
      formatY: value => String(value),
      markers: [...document.events, ...series.events].sort((a, b) => a.at - b.at),
    },
    lines,
  )
}

export function highestInFlight({ series }: RunDocument): number {
  const span = timeSpan(series)
  return Math.max(1, ...series.flatMap(entry => inFlightByWorker(entry, span).flatMap(points => points.map(([, requests]) => requests))))
}

export function prefixHitBars({ series }: RunDocument): string {
  return bars('Prefix hit share', series, ({ summary }) => summary.prefixHitShare, formatShare)
}

export function meanTtftBars({ series }: RunDocument): string {
  return bars('Mean time to first token', series, ({ summary }) => summary.ttftMs.mean, formatDuration)
}

function bars(
  title: string,
  series: readonly RunSeries[],
  of: (series: RunSeries) => number | undefined,
  format: (value: number | undefined) => string,
): string {
  const values = series.map(entry => of(entry) ?? 0)
  const max = Math.max(...values.filter(value => !Number.isNaN(value)), Number.MIN_VALUE)
  const drawn = series.map((entry, colour) => ({ label: entry.name, colour, value: values[colour] || 0, text: format(of(entry)) }))
  return barChart(title, HALF, max, drawn)
}

function name(series: readonly RunSeries[], index: number): string {
  return series[index]?.name ?? ''
}

function sortedTtft({ records }: RunSeries): Float64Array {
  return Float64Array.from(records.ttftMs.filter(value => value !== null)).sort()
}

/** Least and greatest of sorted lists, for a logarithmic axis. */
function range(sorted: readonly Float64Array[]): { readonly low: number; readonly high: number } {
  const low = Math.min(...sorted.map(values => values.find(value => value > 0) ?? Number.POSITIVE_INFINITY))
  const high = Math.max(...sorted.map(values => values.at(-1) ?? 0))
  return Number.isFinite(low) && high > 0 ? { low, high } : { low: 1, high: 1000 }
}

function timeSpan(series: readonly RunSeries[]): number {
  return series.reduce((most, { records }) => records.intendedAt.reduce((latest, at) => Math.max(latest, at), most), 0)
}

/** Mean number of requests in flight per window: the time they spent in it over its length. */
function inFlightByWorker({ records }: RunSeries, span: number): (readonly (readonly [number, number])[])[] {
  const windowMs = Math.max(1, span / (2 * TIME_WINDOWS))
  const windows = Math.ceil(span / windowMs)
  return records.workerIds.map((_, worker) => {
    const busyMs = new Float64Array(windows)
    for (const [index, start] of records.intendedAt.entries()) {
      if (records.worker[index] !== worker) continue
      const end = Math.min(span, records.endedAt[index] as number)
      for (let window = Math.floor(start / windowMs); window < windows && window * windowMs < end; window++) {
        const from = Math.max(start, window * windowMs)
        busyMs[window] = (busyMs[window] as number) + Math.min(end, (window + 1) * windowMs) - from
      }
    }
    return Array.from(busyMs, (busy, window) => [(window + 0.5) * windowMs, busy / windowMs] as const)
  })
}
