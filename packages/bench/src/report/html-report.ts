import { metricDefinitions, percentileDefinition } from '../metrics/metric-definitions.js'
import { seriesColour } from './chart.js'
import { headlines } from './headlines.js'
import { htmlStyle } from './html-style.js'
import { highestInFlight, inFlightOverTime, meanTtftBars, prefixHitBars, ttftCdf, ttftOverTime } from './run-charts.js'
import type { RunDocument } from './run-document.js'
import { summaryColumns } from './summary-columns.js'
import { escapeMarkup as text } from './svg.js'
import { bestRows } from './terminal-table.js'

/** One HTML file with everything in it: it loads nothing, runs no script, and carries the documents as JSON. */
export function htmlReport(...documents: readonly [RunDocument, ...RunDocument[]]): string {
  const [{ title, createdAt, machine }] = documents
  const standIn = documents.some(document => document.standIn)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title>
<style>${htmlStyle}</style>
</head>
<body>
<main>
<p class="soft">${text(createdAt)} · ${text(machine)}</p>
${standIn ? '<p class="stand-in" role="note">Simulated engines: not a measurement of GPUs. Figures compare strategies under the stated engine profile.</p>' : ''}
${documents.map(section).join('\n')}
${definitions()}
</main>
</body>
</html>
`
}

function section(document: RunDocument): string {
  return `<section>
<h1>${text(document.title)}</h1>
${cards(document)}
<h2>Summary</h2>
${summaryTable(document)}
<h2>Time to first token</h2>
${legend(document.series.map(series => series.name))}
<div class="charts">
${chart('Share of requests with a first token within a time', ttftCdf(document))}
<div class="chart"><h3>Prompt tokens found in a prefix cache</h3>${prefixHitBars(document)}<h3>Mean time to first token</h3>${meanTtftBars(document)}</div>
</div>
${chart('Median over time', ttftOverTime(document, 0.5), 'wide')}
${chart('95th percentile over time', ttftOverTime(document, 0.95), 'wide')}
${workerCharts(document)}
<h2>How it was run</h2>
${parameters(document)}
${notes(document)}
<script type="application/json" class="run-document">${embeddedJson(document)}</script>
</section>`
}

function cards(document: RunDocument): string {
  const cells = headlines(document).map(
    ({ label, figure, who, comparison }) =>
      `<div class="card"><div class="soft">${text(label)}</div><div class="figure">${text(figure)}</div><div class="who">${text(who)}</div><div class="soft">${text(comparison)}</div></div>`,
  )
  return cells.length === 0 ? '' : `<div class="cards">${cells.join('')}</div>`
}

function summaryTable({ series }: RunDocument): string {
  const best = summaryColumns.map(column => bestRows(series, column))
  const head = summaryColumns.map(
    ({ header, unit }) => `<th>${text(header)}${unit === undefined ? '' : `<small>${text(unit)}</small>`}</th>`,
  )
  const rows = series.map((row, index) => {
    const cells = summaryColumns.map((column, position) => {
      const swatch = position === 0 ? `<span class="swatch" style="background:${seriesColour(index)}"></span>` : ''
      return `<td${best[position]?.has(index) ? ' class="best"' : ''}>${swatch}${text(column.text(row))}</td>`
    })
    return `<tr>${cells.join('')}</tr>`
  })
  return `<div class="table-room"><table><thead><tr>${head.join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
}

function legend(names: readonly string[]): string {
  const entries = names.map(
    (name, index) => `<span><span class="swatch" style="background:${seriesColour(index)}"></span>${text(name)}</span>`,
  )
  return `<div class="legend">${entries.join('')}</div>`
}

function chart(heading: string, svg: string, kind = ''): string {
  return `<div class="chart ${kind}"><h3>${text(heading)}</h3>${svg}</div>`
}

function workerCharts(document: RunDocument): string {
  const known = document.series.filter(series => series.records.workerIds.length > 0)
  if (known.length === 0) return ''
  const highest = highestInFlight(document)
  const charts = known.map(series => chart(series.name, inFlightOverTime(document, series, highest) + legend(series.records.workerIds)))
  return `<h2>Requests in flight by worker</h2><div class="charts">${charts.join('\n')}</div>`
}

function parameters(document: RunDocument): string {
  const entries = Object.entries(document.parameters).map(([name, value]) => `<dt>${text(name)}</dt><dd>${text(String(value))}</dd>`)
  return `<dl>${entries.join('')}</dl>`
}

function notes(document: RunDocument): string {
  if (document.notes.length === 0) return ''
  return `<ul>${document.notes.map(note => `<li>${text(note)}</li>`).join('')}</ul>`
}

function definitions(): string {
  const entries = Object.values(metricDefinitions).map(
    ({ id, label, definition }) => `<dt>${text(label)} <code>${text(id)}</code></dt><dd>${text(definition)}</dd>`,
  )
  return `<details><summary>What each metric means</summary><p class="soft">Percentiles: ${text(percentileDefinition)}.</p><dl>${entries.join('')}</dl></details>`
}

/** `<` is escaped so that no text in the document can end the script element. */
function embeddedJson(document: RunDocument): string {
  return JSON.stringify(document).replace(/</g, '\\u003c')
}
