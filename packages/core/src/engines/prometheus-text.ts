/** One line of a metrics page. */
export interface PrometheusSample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/**
 * Reads the samples of the named metrics from a page in Prometheus text or OpenMetrics format; names are those of
 * the lines (`…_total` for counters). Lines that cannot be read are skipped: a page is worth more than its worst line.
 */
export function readPrometheusText(page: string, names: Iterable<string>): ReadonlyMap<string, readonly PrometheusSample[]> {
  const samples = new Map<string, PrometheusSample[]>()
  for (const name of names) samples.set(name, [])
  let start = 0
  while (start < page.length) {
    let end = page.indexOf('\n', start)
    if (end === -1) end = page.length
    if (page.charCodeAt(start) !== HASH) readLine(page, start, end, samples)
    start = end + 1
  }
  return samples
}

const HASH = 35
const BRACE = 123
const SPACE = 32
const TAB = 9

function readLine(page: string, start: number, end: number, samples: Map<string, PrometheusSample[]>): void {
  let at = start
  while (at < end) {
    const code = page.charCodeAt(at)
    if (code === BRACE || code === SPACE || code === TAB) break
    at++
  }
  const wanted = samples.get(page.slice(start, at))
  if (wanted === undefined) return
  const labels: Record<string, string> = {}
  if (page.charCodeAt(at) === BRACE) {
    at = readLabels(page, at + 1, end, labels)
    if (at === -1) return
  }
  // A timestamp may follow the value.
  const text = page.slice(at, end).trim().split(/\s/, 1)[0] ?? ''
  const value = text === '+Inf' ? Number.POSITIVE_INFINITY : text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text)
  if (text === '' || (Number.isNaN(value) && text !== 'NaN')) return
  wanted.push({ labels, value })
}

const LABEL = /\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*,?/y
const ESCAPE = /\\(.)/g

/** Fills `labels`; returns the index after the closing brace, or -1 when the line cannot be read. */
function readLabels(page: string, start: number, end: number, labels: Record<string, string>): number {
  const label = new RegExp(LABEL)
  label.lastIndex = start
  let at = start
  for (let match = label.exec(page); match !== null && label.lastIndex <= end; match = label.exec(page)) {
    const [, name = '', value = ''] = match
    labels[name] = value.includes('\\') ? value.replace(ESCAPE, (_, char: string) => (char === 'n' ? '\n' : char)) : value
    at = label.lastIndex
  }
  while (at < end && page.charCodeAt(at) === SPACE) at++
  return page[at] === '}' ? at + 1 : -1
}
