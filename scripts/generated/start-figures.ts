import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunDocument } from '@kvfleet/bench'
import { table } from './table.js'

/** The table that opens the README: the newest kept run of `npm start`. */
export function startFigures(root: string): string {
  const runs = join(root, 'benchmarks/runs')
  const newest = readdirSync(runs)
    .filter(name => name.endsWith('-start'))
    .sort()
    .at(-1)
  if (newest === undefined) throw new Error('benchmarks/runs: no kept run of npm start')
  const { documents } = JSON.parse(readFileSync(join(runs, newest, 'documents.json'), 'utf8')) as { documents: RunDocument[] }
  const parts = documents.map(({ title, parameters, series }) => {
    const rows = series.map(({ name, summary }) => [
      name,
      seconds(summary.ttftMs.mean),
      seconds(summary.ttftMs.p50),
      seconds(summary.ttftMs.p95),
      `${(100 * (summary.prefixHitShare ?? 0)).toFixed(1)} %`,
      Math.round(summary.outputTokensPerSecond).toLocaleString('en'),
      String(summary.failedRequests),
    ])
    const head = ['policy', 'TTFT mean', 'TTFT p50', 'TTFT p95', 'prefix hits', 'output tokens/s', 'failed']
    return `${title}, ${Number(parameters['requests']).toLocaleString('en')} requests of ${parameters['trace']}:\n\n${table(head, rows)}`
  })
  return `${parts.join('\n\n')}\n\nSimulated engines: the figures compare policies with each other and are no measurement of a GPU. Raw data, command and machine are in
[benchmarks/runs/${newest}](benchmarks/runs/${newest}).`
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? '–' : `${(ms / 1000).toFixed(2)} s`
}
