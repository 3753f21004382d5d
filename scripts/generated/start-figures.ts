import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { RunDocument, RunSeries } from '@kvfleet/bench'
import { table } from './table.js'

const HEAD = ['policy', 'TTFT mean', 'TTFT p50', 'TTFT p95', 'prefix hits', 'output tokens/s', 'failed']

/** The tables that open the README: the newest kept run of `npm start`, medians over its rounds. */
export function startFigures(root: string): string {
  const runs = join(root, 'benchmarks/runs')
  const newest = readdirSync(runs)
    .filter(name => name.endsWith('-start'))
    .sort()
    .at(-1)
  if (newest === undefined) throw new Error('benchmarks/runs: no kept run of npm start')
  const files = readdirSync(join(runs, newest))
  const read = (file: string) => JSON.parse(gunzipSync(readFileSync(join(runs, newest, file))).toString()) as RunDocument
  const rounds = files.filter(file => /^sockets-\d+\.json\.gz$/.test(file)).map(read)
  const simulation = read('simulation.json.gz')
  return `The first ${requests(rounds[0])} requests of Mooncake's conversation trace over real sockets, four simulated workers, model time, medians of ${rounds.length} rounds
(during kv-aware one worker joins and one is drained; everything shares two cores, and a real millisecond of delay counts twelve):

${figures(rounds)}

All ${requests(simulation)} requests of the trace, simulated in virtual time:

${figures([simulation])}

Simulated engines: the figures compare policies with each other and are no measurement of a GPU. Raw data, command and machine are in
[benchmarks/runs/${newest}](benchmarks/runs/${newest}).`
}

function requests(document: RunDocument | undefined): string {
  return Number(document?.parameters['requests']).toLocaleString('en')
}

function figures(rounds: readonly RunDocument[]): string {
  const [first] = rounds
  const rows = (first?.series ?? []).map(({ name }, position) => {
    const over = (of: (series: RunSeries) => number) => median(rounds.map(({ series }) => of(series[position] as RunSeries)))
    return [
      name,
      seconds(over(({ summary }) => summary.ttftMs.mean)),
      seconds(over(({ summary }) => summary.ttftMs.p50)),
      seconds(over(({ summary }) => summary.ttftMs.p95)),
      `${(100 * over(({ summary }) => summary.prefixHitShare ?? 0)).toFixed(1)} %`,
      Math.round(over(({ summary }) => summary.outputTokensPerSecond)).toLocaleString('en'),
      String(Math.max(...rounds.map(({ series }) => series[position]?.summary.failedRequests ?? 0))),
    ]
  })
  return table(HEAD, rows)
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}
