import type { Axis } from './axis.js'
import { element, escapeMarkup, linePath } from './svg.js'

/** Colours that the page's style sheet defines; more series than that share them. */
const PALETTE_SIZE = 8

export function seriesColour(index: number): string {
  return `var(--series-${index % PALETTE_SIZE})`
}

export interface ChartMarker {
  readonly at: number
  readonly label: string
}

export interface ChartOptions {
  /** Read aloud by screen readers; the visible heading is the page's. */
  readonly title: string
  readonly width: number
  readonly height: number
  readonly x: Axis
  readonly y: Axis
  readonly xLabel: string
  readonly yLabel: string
  readonly formatX: (value: number) => string
  readonly formatY: (value: number) => string
  /** Vertical lines: a drain, an added worker. */
  readonly markers?: readonly ChartMarker[]
}

export interface ChartLine {
  /** Position in the palette. */
  readonly colour: number
  readonly points: readonly (readonly [x: number, y: number])[]
  /** Points with a dot and a tooltip. Default: none. */
  readonly tooltip?: (point: readonly [x: number, y: number]) => string
  readonly dots?: 'visible' | 'on-hover'
}

const MARGIN = { left: 62, right: 16, bottom: 42 }
const MARKER_ROW = 15
const CHARACTER_WIDTH = 6.4

/** A line chart with axes, grid and markers as one SVG element; colours come from the page's custom properties. */
export function lineChart(options: ChartOptions, lines: readonly ChartLine[]): string {
  const { title, width, height, x, y, markers = [] } = options
  const rows = markerRows(options, markers)
  const top = 12 + MARKER_ROW * (Math.max(-1, ...rows) + 1)
  const plotWidth = width - MARGIN.left - MARGIN.right
  const plotHeight = height - top - MARGIN.bottom
  const xOf = (value: number) => MARGIN.left + x.place(value) * plotWidth
  const yOf = (value: number) => top + (1 - y.place(value)) * plotHeight
  const bottom = top + plotHeight

  const grid = [
    ...y.ticks.map(tick => {
      const at = yOf(tick)
      return (
        element('line', { class: 'grid', x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }) +
        element('text', { class: 'tick', x: MARGIN.left - 8, y: at + 4, 'text-anchor': 'end' }, escapeMarkup(options.formatY(tick)))
      )
    }),
    ...x.ticks.map(tick => {
      const at = xOf(tick)
      return (
        element('line', { class: 'grid', x1: at, x2: at, y1: top, y2: bottom }) +
        element('text', { class: 'tick', x: at, y: bottom + 17, 'text-anchor': 'middle' }, escapeMarkup(options.formatX(tick)))
      )
    }),
    element('line', { class: 'axis', x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }),
  ]
  const labels = [
    element(
      'text',
      { class: 'axis-label', x: MARGIN.left + plotWidth / 2, y: height - 6, 'text-anchor': 'middle' },
      escapeMarkup(options.xLabel),
    ),
    element(
      'text',
      { class: 'axis-label', transform: `rotate(-90 13 ${top + plotHeight / 2})`, x: 13, y: top + plotHeight / 2, 'text-anchor': 'middle' },
      escapeMarkup(options.yLabel),
    ),
  ]
  const drawnMarkers = markers.map(({ at, label }, index) => {
    const place = xOf(at)
    const labelY = 12 + MARKER_ROW * (rows[index] ?? 0)
    const end = place > width - MARGIN.right - CHARACTER_WIDTH * label.length
    return (
      element('line', { class: 'marker', x1: place, x2: place, y1: labelY - 8, y2: bottom }) +
      element(
        'text',
        { class: 'marker-label', x: place + (end ? -5 : 5), y: labelY, 'text-anchor': end ? 'end' : 'start' },
        escapeMarkup(label),
      )
    )
  })
  const drawnLines = lines.map(({ colour, points, tooltip, dots = 'on-hover' }) => {
    const style = `stroke:${seriesColour(colour)}`
    const placed = points.map(([px, py]) => [Number.isNaN(py) ? Number.NaN : xOf(px), yOf(py)] as const)
    const path = element('path', { class: 'line', style, d: linePath(placed) })
    if (tooltip === undefined) return path
    const circles = points.map((point, index) => {
      const [cx, cy] = placed[index] as readonly [number, number]
      if (Number.isNaN(cx)) return ''
      const attributes = { class: `dot ${dots}`, style: `fill:${seriesColour(colour)}`, cx, cy, r: 4 }
      return element('circle', attributes, element('title', {}, escapeMarkup(tooltip(point))))
    })
    return path + circles.join('')
  })
  return element(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': title },
    ...grid,
    ...drawnMarkers,
    ...drawnLines,
    ...labels,
  )
}

/** Which row each marker's label stands in, so that labels do not overlap. */
function markerRows({ x, width }: ChartOptions, markers: readonly ChartMarker[]): number[] {
  const plotWidth = width - MARGIN.left - MARGIN.right
  const ends: number[] = []
  return markers.map(({ at, label }) => {
    const length = CHARACTER_WIDTH * label.length + 14
    const place = MARGIN.left + x.place(at) * plotWidth
    const start = place > width - MARGIN.right - CHARACTER_WIDTH * label.length ? place - length : place
    const row = ends.findIndex(end => end <= start)
    const free = row === -1 ? ends.length : row
    ends[free] = start + length
    return free
  })
}

export interface Bar {
  readonly label: string
  readonly value: number
  readonly text: string
  readonly colour: number
}

const BAR_HEIGHT = 18
const BAR_GAP = 8

/** Horizontal bars from 0 to `max`, each with its label above and its figure at its end. */
export function barChart(title: string, width: number, max: number, bars: readonly Bar[]): string {
  const row = 18 + BAR_HEIGHT + BAR_GAP
  const room = width - 90
  const drawn = bars.map(({ label, value, text, colour }, index) => {
    const top = index * row
    const length = Math.max(1, (Math.min(value, max) / max) * room)
    return (
      element('text', { class: 'bar-label', x: 0, y: top + 13 }, escapeMarkup(label)) +
      element(
        'rect',
        { style: `fill:${seriesColour(colour)}`, x: 0, y: top + 18, width: length, height: BAR_HEIGHT, rx: 3 },
        element('title', {}, escapeMarkup(`${label}: ${text}`)),
      ) +
      element('text', { class: 'bar-text', x: length + 8, y: top + 18 + BAR_HEIGHT / 2 + 4 }, escapeMarkup(text))
    )
  })
  return element('svg', { viewBox: `0 0 ${width} ${bars.length * row}`, role: 'img', 'aria-label': title }, ...drawn)
}
