import { createVirtualClock } from '@kvfleet/core/virtual-time'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RequestRecord } from '../metrics/request-record.js'
import { summarize } from '../metrics/summarize.js'
import { linearAxis, logarithmicAxis, timeAxis } from './axis.js'
import { durationTicks, formatDuration, formatNumber, formatShare } from './format.js'
import { htmlReport } from './html-report.js'
import { progressBar } from './progress-bar.js'
import { type RunDocument, runSeries } from './run-document.js'
import { summaryColumns } from './summary-columns.js'
import { type TableColumn, terminalTable } from './terminal-table.js'

describe('figures', () => {
  it('have three significant digits and grouped thousands', () => {
    expect([0, 0.012_34, 1, 12.345, 123.4, 1234.5, 1_234_567].map(value => formatNumber(value))).toEqual([
      '0',
      '0.0123',
      '1.00',
      '12.3',
      '123',
      '1,235',
      '1,234,567',
    ])
    expect(formatNumber(Number.NaN)).toBe('-')
    expect(formatNumber(undefined)).toBe('-')
  })

  it('take the unit that suits them', () => {
    expect([0.5, 999, 1500, 150_000].map(formatDuration)).toEqual(['0.500 ms', '999 ms', '1.50 s', '2.50 min'])
    expect(formatShare(0.3664)).toBe('36.6 %')
    expect([0, 300_000, 450_000].map(durationTicks(900_000))).toEqual(['0', '5 min', '7.5 min'])
  })
})

describe('axes', () => {
  it('have round ticks that include both ends', () => {
    expect(linearAxis(0, 1).ticks).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1])
    expect(linearAxis(0, 287, 4).ticks).toEqual([0, 100, 200, 300])
    expect(logarithmicAxis(80, 30_000).ticks).toEqual([100, 200, 500, 1000, 2000, 5000, 10_000, 20_000])
    expect(logarithmicAxis(20, 70_000).ticks).toEqual([30, 100, 300, 1000, 3000, 10_000, 30_000])
    expect(timeAxis(0, 1_000_000).ticks).toEqual([0, 300_000, 600_000, 900_000])
  })

  it('place every value between 0 and 1, in order', () => {
    const value = fc.double({ min: 0.001, max: 1e7, noNaN: true })
    fc.assert(
      fc.property(value, value, value, value, (a, b, c, d) => {
        for (const axis of [linearAxis, logarithmicAxis, timeAxis]) {
          const { place, ticks } = axis(Math.min(a, b), Math.max(a, b))
          expect(ticks.length).toBeLessThan(60)
          expect(place(Math.min(c, d))).toBeLessThanOrEqual(place(Math.max(c, d)))
          expect(place(c)).toBeGreaterThanOrEqual(0)
          expect(place(c)).toBeLessThanOrEqual(1)
        }
      }),
    )
  })
})

describe('terminalTable', () => {
  const columns: readonly TableColumn<{ name: string; ms: number }>[] = [
    { header: 'policy', text: row => row.name },
    { header: 'TTFT', unit: 'ms', better: 'lower', value: row => row.ms, text: row => formatNumber(row.ms) },
  ]

  it('aligns columns and marks the best figure without colour', () => {
    const table = terminalTable(
      [
        { name: 'a', ms: 1234 },
        { name: 'long-name', ms: 99 },
      ],
      columns,
    )
    expect(table.split('\n')).toEqual([
      'policy      TTFT', //
      '              ms',
      '─────────  ──────',
      'a          1,234',
      'long-name   99.0*',
    ])
  })

  it('writes colour only when asked to', () => {
    const rows = [
      { name: 'a', ms: 1 },
      { name: 'b', ms: 2 },
    ]
    expect(terminalTable(rows, columns)).not.toContain('\u001b')
    expect(terminalTable(rows, columns, { colour: true })).toContain('\u001b[32m')
  })

  it('marks nothing where all are equal, alone or not measured', () => {
    expect(terminalTable([{ name: 'a', ms: 1 }], columns)).not.toContain('*')
    expect(
      terminalTable(
        [
          { name: 'a', ms: 1 },
          { name: 'b', ms: 1 },
        ],
        columns,
      ),
    ).not.toContain('*')
    expect(
      terminalTable(
        [
          { name: 'a', ms: Number.NaN },
          { name: 'b', ms: 1 },
        ],
        columns,
      ),
    ).not.toContain('*')
  })
})

describe('progressBar', () => {
  function stream(isTTY: boolean) {
    const written: string[] = []
    return { written, isTTY, columns: 80, write: (text: string) => written.push(text) }
  }

  it('writes a line at every tenth to a log', () => {
    const out = stream(false)
    const clock = createVirtualClock()
    const bar = progressBar({ stream: out, total: 40, clock, label: 'replay' })
    for (let done = 1; done <= 40; done++) {
      clock.advanceSync(100)
      bar.update({ done, failed: done > 20 ? 2 : 0 })
    }
    bar.end()
    expect(out.written).toHaveLength(10)
    expect(out.written[4]).toBe('replay  50 %  20/40 in 2.00 s, 2.00 s left\n')
    expect(out.written[9]).toBe('replay 100 %  40/40, 2 failed in 4.00 s\n')
  })

  it('rewrites one line on a terminal, not oftener than every 100 ms, and ends it', () => {
    const out = stream(true)
    const clock = createVirtualClock()
    const bar = progressBar({ stream: out, total: 1000, clock })
    for (let done = 1; done <= 1000; done++) {
      clock.advanceSync(1)
      bar.update({ done })
    }
    bar.end()
    bar.update({ done: 1 })
    bar.end()
    expect(out.written.length).toBeLessThan(15)
    expect(out.written.at(-1)).toBe('\n')
    expect(out.written.at(-2)).toContain('1,000/1,000')
    expect(out.written.slice(0, -1).every(text => text.startsWith('\r') && !text.includes('\n'))).toBe(true)
  })

  it('says where it stopped when it ends early', () => {
    const out = stream(false)
    const bar = progressBar({ stream: out, total: 40, clock: createVirtualClock() })
    bar.update({ done: 3 })
    bar.end()
    expect(out.written).toEqual(['ended  3/40 in 0 ms, 0 ms left\n'])
  })
})

function records(count: number, ttftMs: number): RequestRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    intendedAt: index * 100,
    sentAt: index * 100,
    firstTokenAt: index % 10 === 9 ? undefined : index * 100 + ttftMs * (1 + (index % 7)),
    endedAt: index * 100 + 5000,
    promptTokens: 100,
    cachedTokens: 40,
    outputTokens: 1,
    chunkAt: new Float64Array(0),
    chunkTokens: new Uint16Array(0),
    workerId: `w${index % 3}`,
    outcome: index % 10 === 9 ? 'failed' : 'completed',
    error: undefined,
  }))
}

function document(change: Partial<RunDocument> = {}): RunDocument {
  const series = ['round-robin', 'kv-aware'].map((name, index) => {
    const own = records(50, 200 / (index + 1))
    return runSeries(name, summarize(own), own, index === 0 ? [{ at: 3000, label: 'w1 drained' }] : [])
  })
  return {
    title: 'A <b>title</b> & more',
    createdAt: '2026-01-02T03:04:05Z',
    standIn: true,
    machine: 'two cores',
    parameters: { requests: 50, note: '</script><script>alert(1)</script>' },
    notes: ['cut'],
    series,
    events: [{ at: 2000, label: 'w1 draining' }],
    ...change,
  }
}

describe('htmlReport', () => {
  it('loads nothing and runs nothing', () => {
    const html = htmlReport(document())
    expect(html).not.toMatch(/\b(src|href)=|@import|url\(|https?:\/\//)
    expect(html.match(/<script/g)).toHaveLength(1)
    expect(html).toContain('<script type="application/json"')
  })

  it('escapes every text', () => {
    const html = htmlReport(document())
    expect(html).not.toContain('<b>title')
    expect(html).not.toContain('alert(1)</script>')
  })

  it('carries the document, from which the same report can be made again', () => {
    const original = document()
    const json = /<script type="application\/json" class="run-document">(.*?)<\/script>/s.exec(htmlReport(original))?.[1] ?? ''
    expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(original)))
    expect(htmlReport(JSON.parse(json) as RunDocument)).toBe(htmlReport(original))
  })

  it('says that simulated figures are no measurement, and only then', () => {
    expect(htmlReport(document())).toContain('not a measurement of GPUs')
    expect(htmlReport(document({ standIn: false }))).not.toContain('not a measurement of GPUs')
  })

  it('shows each series, the best figures and the events', () => {
    const html = htmlReport(document())
    for (const { header } of summaryColumns) expect(html).toContain(`<th>${header}`)
    expect(html).toContain('class="best"')
    expect(html.match(/w1 draining/g)?.length).toBeGreaterThanOrEqual(4)
    expect(html.match(/>w1 drained</g)).toHaveLength(1)
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
  })

  it('can be drawn of a run without any token', () => {
    const none = records(5, 1).map(record => ({ ...record, firstTokenAt: undefined, outcome: 'failed' as const, workerId: undefined }))
    const html = htmlReport(document({ series: [runSeries('none', summarize(none), none)], events: [] }))
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
  })
})
