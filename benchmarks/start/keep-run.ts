/**
 * `npx tsx benchmarks/start/keep-run.ts NAME [options of npm start]`: runs `npm start` five times and keeps what it measured
 * in benchmarks/runs/NAME. The simulated part must come out the same every time, byte for byte.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { RunDocument } from '@kvfleet/bench'

const ROUNDS = 5
const [name, ...options] = process.argv.slice(2)
if (name === undefined) throw new Error('expected the name of the run, such as 2026-01-31-start')
const folder = join('benchmarks/runs', name)
mkdirSync(folder, { recursive: true })

let simulated: string | undefined
let machine = ''
for (let round = 1; round <= ROUNDS; round++) {
  const file = join(tmpdir(), `kvfleet-start-${process.pid}.json`)
  execFileSync(process.execPath, ['scripts/run.mjs', 'start', ...options, '--json', file], { stdio: ['ignore', 'inherit', 'inherit'] })
  const { documents } = JSON.parse(readFileSync(file, 'utf8')) as { documents: [RunDocument, RunDocument] }
  rmSync(file)
  const [sockets, simulation] = documents
  machine = sockets.machine
  writeFileSync(join(folder, `sockets-${round}.json.gz`), gzipSync(JSON.stringify(withoutTrace(sockets))))
  const text = JSON.stringify({ ...simulation, createdAt: '' })
  if (simulated !== undefined && simulated !== text) throw new Error(`round ${round}: the simulation differs from the round before`)
  simulated = text
  writeFileSync(join(folder, 'simulation.json.gz'), gzipSync(JSON.stringify(withoutTrace(simulation))))
}

/** What was measured of each request, without when the trace sent it and how long it was: traces stay where they are. */
function withoutTrace(document: RunDocument): unknown {
  const series = document.series.map(({ records, ...rest }) => {
    const { ttftMs, cachedTokens, worker, workerIds, failed } = records
    return { ...rest, records: { ttftMs, cachedTokens, worker, workerIds, failed } }
  })
  return { ...document, series }
}
const shown = options.map(option => (option.includes('/') ? `<${option.split('/').at(-1)}>` : option)).join(' ')
writeFileSync(
  join(folder, 'README.md'),
  `# ${name}

\`npx tsx benchmarks/start/keep-run.ts ${name} ${shown}\`

Machine: ${machine}. ${ROUNDS} rounds, one after the other; in each, round robin and kv-aware take turns over the same requests.

- \`sockets-N.json.gz\`: the document of round N, every request's times included, in model time.
- \`simulation.json.gz\`: the simulated part, the same bytes in every round.

Engines are simulated: nothing here measures a GPU.
`,
)
