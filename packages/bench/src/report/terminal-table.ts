/** One column of figures or words. */
export interface TableColumn<Row> {
  readonly header: string
  /** Stands under the header. */
  readonly unit?: string
  readonly text: (row: Row) => string
  /** For marking the best row. */
  readonly value?: (row: Row) => number | null | undefined
  readonly better?: 'lower' | 'higher'
  /** Default: right for columns with a value, else left. */
  readonly align?: 'left' | 'right'
}

export interface TerminalTableOptions {
  /** Marks the best figures in green too; the mark itself is there without colour. Default: false. */
  readonly colour?: boolean
}

const BEST_MARK = '*'
const GREEN = '\u001b[32m'
const BOLD = '\u001b[1m'
const PLAIN = '\u001b[0m'

/** An aligned table; the best figure of each column that has a direction carries a `*`. Ends without a line feed. */
export function terminalTable<Row>(
  rows: readonly Row[],
  columns: readonly TableColumn<Row>[],
  { colour = false }: TerminalTableOptions = {},
): string {
  const best = columns.map(column => bestRows(rows, column))
  const cells = rows.map((row, rowIndex) =>
    columns.map((column, index) =>
      column.value === undefined ? column.text(row) : `${column.text(row)}${best[index]?.has(rowIndex) ? BEST_MARK : ' '}`,
    ),
  )
  // A figure ends one place before the column does: that place is for the mark.
  const heads = columns.map(column => (column.value === undefined ? column.header : `${column.header} `))
  const units = columns.map(column => (column.value === undefined ? (column.unit ?? '') : `${column.unit ?? ''} `))
  const widths = columns.map((_, index) => Math.max(...[heads, units, ...cells].map(line => (line[index] ?? '').length)))
  const line = (texts: readonly string[], paint: (text: string, index: number) => string = text => text) =>
    texts
      .map((text, index) => paint(pad(text, widths[index] as number, alignment(columns[index] as TableColumn<Row>)), index))
      .join('  ')
      .trimEnd()
  const lines = [line(heads, text => (colour ? `${BOLD}${text}${PLAIN}` : text))]
  if (columns.some(column => column.unit !== undefined)) lines.push(line(units))
  lines.push(widths.map(width => '─'.repeat(width)).join('  '))
  for (const [rowIndex, texts] of cells.entries()) {
    lines.push(line(texts, (text, index) => (colour && best[index]?.has(rowIndex) ? `${GREEN}${text}${PLAIN}` : text)))
  }
  return lines.join('\n')
}

/** Rows that hold the best value; none when all rows are equal or only one has a value. */
export function bestRows<Row>(rows: readonly Row[], { value, better }: TableColumn<Row>): ReadonlySet<number> {
  if (value === undefined || better === undefined) return new Set()
  const values = rows.map(value)
  const known = values.filter(entry => entry !== undefined && entry !== null && !Number.isNaN(entry)) as number[]
  if (known.length < 2 || known.every(entry => entry === known[0])) return new Set()
  const best = better === 'lower' ? Math.min(...known) : Math.max(...known)
  return new Set(values.flatMap((entry, index) => (entry === best ? index : [])))
}

function alignment<Row>({ align, value }: TableColumn<Row>): 'left' | 'right' {
  return align ?? (value === undefined ? 'left' : 'right')
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  return align === 'left' ? text.padEnd(width) : text.padStart(width)
}
