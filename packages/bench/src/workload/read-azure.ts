import { basename } from 'node:path'
import { parseOptions } from '@kvfleet/core'
import { defaults } from '../defaults.js'
import type { Trace } from './trace.js'
import { lineError, type TraceLine, traceLines } from './trace-lines.js'
import { arrangeTrace, type RawRequest, type TraceReadOptions, traceReadOptionsSchema } from './trace-options.js'

export const AZURE_HEADER = 'TIMESTAMP,ContextTokens,GeneratedTokens'

/**
 * Azure's LLM inference traces (2023, 2024): CSV with `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`. They tell nothing
 * of shared prefixes: `blockIds` stay empty. Rejects with FILE_INVALID at the first line that does not fit.
 */
export async function readAzureTrace(path: string, options: TraceReadOptions = {}): Promise<Trace> {
  const { limit, spreadTicks, speedUp, seed, signal, tickMs = 0 } = parseOptions('readAzureTrace', traceReadOptionsSchema, options)
  const raw: RawRequest[] = []
  let header = false
  for await (const line of traceLines(path, signal)) {
    if (header) raw.push(parseLine(path, line))
    else if (line.text.trim() === AZURE_HEADER) header = true
    else throw lineError({ file: path, line: line.number, field: '', value: line.text, expected: `the header ${AZURE_HEADER}` })
    if (raw.length === limit) break
  }
  if (raw.length === 0) throw lineError({ file: path, line: 2, field: '', value: undefined, expected: 'at least one request' })
  return arrangeTrace(raw, { name: basename(path, '.csv'), blockTokens: 0, tickMs, spreadTicks, speedUp, seed, limit })
}

function parseLine(file: string, { number, text }: TraceLine): RawRequest {
  const [timestamp = '', context = '', generated = '', ...rest] = text.trim().split(',')
  if (rest.length > 0) throw lineError({ file, line: number, field: '', value: text, expected: 'three columns' })
  return {
    arrivalMs: parseTimestamp(timestamp) ?? fail('TIMESTAMP', timestamp, 'YYYY-MM-DD hh:mm:ss[.fraction][+00:00]'),
    promptTokens: parseCount(context) ?? fail('ContextTokens', context, `a whole number from 1 to ${defaults.maxTraceTokens}`),
    outputTokens: parseCount(generated) ?? fail('GeneratedTokens', generated, `a whole number from 1 to ${defaults.maxTraceTokens}`),
    blockIds: [],
  }

  function fail(field: string, value: string, expected: string): never {
    throw lineError({ file, line: number, field, value, expected })
  }
}

function parseCount(text: string): number | undefined {
  return /^[1-9]\d{0,9}$/.test(text) && Number(text) <= defaults.maxTraceTokens ? Number(text) : undefined
}

const TIMESTAMP = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:\+00:00|Z)?$/

/** Epoch milliseconds, sub-millisecond digits kept. */
function parseTimestamp(text: string): number | undefined {
  const match = TIMESTAMP.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [number, number, number, number, number, number]
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return undefined
  return Date.UTC(year, month - 1, day, hour, minute, second) + Number(`0${match[7] ?? ''}`) * 1000
}
