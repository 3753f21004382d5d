/**
 * `npm run check -- generated`: the parts of the documentation that come from code. A whole page is an entry of `pages`;
 * a part of a page that people write stands between `<!-- generated: name -->` and `<!-- /generated -->` and is an entry
 * of `sections`.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  metricDefinitions as benchMetrics,
  conversationComparisons,
  conversationFigures,
  describeTrace,
  generateConversationTrace,
  percentileDefinition,
} from '@kvfleet/bench'
import { errorCodes } from '@kvfleet/core'
import { metricDefinitions as gatewayMetrics } from '@kvfleet/core/prometheus'
import { defaultsTable, readDefaults } from './generated/defaults.js'
import { fillSections } from './generated/sections.js'
import { startFigures } from './generated/start-figures.js'
import { table } from './generated/table.js'
import { compareKeptFiles } from './kept-files.js'

const root = process.cwd()

const pages = new Map<string, () => string>([
  ['docs/errors.md', errorsPage],
  ['docs/defaults.md', defaultsPage],
  ['docs/metrics.md', metricsPage],
])

const sections = new Map<string, () => string>([
  ['conversation', conversationTable],
  ['start-figures', () => startFigures(root)],
])

function errorsPage(): string {
  return `# Error codes

Every error that kvfleet throws is a \`KvFleetError\` with one of these codes. Codes are stable: programs branch on \`code\`,
people read \`message\`, and \`details\` holds the field, the value and what was expected. This page is generated from
\`packages/core/src/error-codes.ts\`.

${table(
  ['code', 'meaning'],
  Object.entries(errorCodes).map(([code, meaning]) => [`\`${code}\``, meaning]),
)}
`
}

function defaultsPage(): string {
  const files = trackedFiles('packages/*/src/**/defaults.ts')
  const parts = files.map(file => `## ${file}\n\n${defaultsTable(readDefaults(file, readFileSync(join(root, file), 'utf8')))}\n`)
  return `# Defaults

Every default with its reason, generated from the packages' \`defaults.ts\`. A changed default is a release note.

${parts.join('\n')}`
}

function metricsPage(): string {
  return `# Metrics

## Of the gateway and the fleet

What \`GET /metrics\` and \`createMetrics\` of \`@kvfleet/core/prometheus\` report, in Prometheus' habit: seconds and totals. Generated from
\`packages/core/src/prometheus/metric-definitions.ts\`.

${table(
  ['metric', 'type', 'labels', 'meaning'],
  Object.values(gatewayMetrics).map(({ name, type, labels, meaning }) => [
    `\`${name}\``,
    type,
    labels.map(label => `\`${label}\``).join(', '),
    meaning,
  ]),
)}

## Of the bench

What a run's summary holds. Every result names a metric by its id, because tools differ by definition as much as by system. Percentiles:
${percentileDefinition}. Generated from \`packages/bench/src/metrics/metric-definitions.ts\`.

${table(
  ['metric', 'id', 'unit', 'better', 'definition'],
  Object.values(benchMetrics).map(({ label, id, unit, better, definition }) => [label, `\`${id}\``, unit, better, definition]),
)}
`
}

function conversationTable(): string {
  const generated = describeTrace(generateConversationTrace())
  return table(
    ['', 'Mooncake conversation', 'generated, default seed', 'every seed within'],
    conversationComparisons.map(({ label, of, text, tolerance }) => {
      const [real, made] = [of(conversationFigures), of(generated)].map(value => (value === undefined ? '–' : text(value)))
      return [label, real ?? '–', made ?? '–', `${Math.round(tolerance * 100)} %`]
    }),
  )
}

function trackedFiles(pattern: string): string[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', `:(glob)${pattern}`], { cwd: root, encoding: 'utf8' })
  return listed.split('\n').filter(file => file !== '' && existsSync(join(root, file)))
}

const write = process.argv.includes('--write')
const wanted = new Map([...pages].map(([file, text]) => [file, text()]))
const problems: string[] = []
for (const file of [...trackedFiles('*.md'), ...trackedFiles('docs/**/*.md'), ...trackedFiles('packages/*/README.md')]) {
  if (wanted.has(file)) continue
  try {
    wanted.set(file, await fillSections(file, readFileSync(join(root, file), 'utf8'), sections))
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error))
  }
}
for (const problem of problems) console.log(problem)
const different = compareKeptFiles(root, wanted, write)
console.log(`${wanted.size} pages, ${different} ${write ? 'rewritten' : 'out of date (npm run check -- --fix)'}`)
process.exitCode = problems.length === 0 && (write || different === 0) ? 0 : 1
