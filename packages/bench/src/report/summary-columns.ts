import type { Distribution } from '../metrics/distribution.js'
import { metricDefinitions } from '../metrics/metric-definitions.js'
import type { RunSummary } from '../metrics/summarize.js'
import { formatCount, formatNumber, formatShare } from './format.js'
import type { TableColumn } from './terminal-table.js'

/** What a table of runs needs of each. */
export interface SummaryRow {
  readonly name: string
  readonly summary: RunSummary
}

type DistributionMetric = 'ttftMs' | 'itlMs' | 'tpotMs' | 'e2eMs' | 'chunkGapMs' | 'sendLagMs'

/** The columns of the summary table, the same in the terminal and in HTML. */
export const summaryColumns: readonly TableColumn<SummaryRow>[] = [
  { header: 'policy', text: row => row.name },
  distribution('ttftMs', 'mean'),
  distribution('ttftMs', 'p50'),
  distribution('ttftMs', 'p95'),
  distribution('ttftMs', 'p99'),
  distribution('tpotMs', 'mean'),
  distribution('itlMs', 'p99'),
  distribution('e2eMs', 'p50'),
  distribution('e2eMs', 'p95'),
  {
    header: metricDefinitions.outputTokensPerSecond.label,
    unit: 'tokens/s',
    better: 'higher',
    value: row => row.summary.outputTokensPerSecond,
    text: row => formatNumber(row.summary.outputTokensPerSecond),
  },
  {
    header: metricDefinitions.prefixHitShare.label,
    better: 'higher',
    value: row => row.summary.prefixHitShare,
    text: row => formatShare(row.summary.prefixHitShare),
  },
  {
    header: metricDefinitions.failedRequests.label,
    better: 'lower',
    value: row => row.summary.failedRequests,
    text: row => formatCount(row.summary.failedRequests),
  },
]

function distribution(metric: DistributionMetric, statistic: keyof Distribution): TableColumn<SummaryRow> {
  const { label, unit, better } = metricDefinitions[metric]
  const value = (row: SummaryRow) => row.summary[metric][statistic]
  return { header: `${label} ${statistic}`, unit, better, value, text: row => formatNumber(value(row)) }
}
