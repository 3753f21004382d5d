import { formatDuration, formatNumber, formatShare } from './format.js'
import type { RunDocument, RunSeries } from './run-document.js'

export interface Headline {
  readonly label: string
  readonly figure: string
  readonly who: string
  readonly comparison: string
}

interface Subject {
  readonly label: string
  readonly better: 'lower' | 'higher'
  readonly value: (series: RunSeries) => number | null | undefined
  readonly format: (value: number) => string
}

const SUBJECTS: readonly Subject[] = [
  { label: 'Lowest mean TTFT', better: 'lower', value: ({ summary }) => summary.ttftMs.mean, format: formatDuration },
  { label: 'Lowest median TTFT', better: 'lower', value: ({ summary }) => summary.ttftMs.p50, format: formatDuration },
  { label: 'Lowest p95 TTFT', better: 'lower', value: ({ summary }) => summary.ttftMs.p95, format: formatDuration },
  { label: 'Most prefix hits', better: 'higher', value: ({ summary }) => summary.prefixHitShare, format: formatShare },
]

/** The best series of each subject beside the next best; none for a single series. */
export function headlines({ series }: RunDocument): readonly Headline[] {
  return SUBJECTS.flatMap(({ label, better, value, format }) => {
    const ranked = series
      .flatMap(entry => {
        const figure = value(entry)
        return typeof figure === 'number' && !Number.isNaN(figure) ? [{ name: entry.name, figure }] : []
      })
      .sort((a, b) => (better === 'lower' ? a.figure - b.figure : b.figure - a.figure))
    const [best, next] = ranked
    if (best === undefined || next === undefined) return []
    const comparison = `next: ${next.name}, ${format(next.figure)}${ratio(best.figure, next.figure)}`
    return [{ label, figure: format(best.figure), who: best.name, comparison }]
  })
}

function ratio(best: number, next: number): string {
  const [low, high] = best < next ? [best, next] : [next, best]
  return low > 0 && high / low >= 1.005 ? ` (${formatNumber(high / low)} times)` : ''
}
