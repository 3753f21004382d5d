import { basename } from 'node:path'
import { parseOptions } from '@kvfleet/core'
import * as v from 'valibot'
import { defaults } from '../defaults.js'
import type { Trace } from './trace.js'
import { lineError, type TraceLine, traceLines } from './trace-lines.js'
import { arrangeTrace, type RawRequest, type TraceReadOptions, traceReadOptionsSchema } from './trace-options.js'

const count = (least: number, most: number) =>
  v.pipe(
    v.number(),
    v.integer(`expected an integer`),
    v.minValue(least, `expected at least ${least}`),
    v.maxValue(most, `expected at most ${most}`),
  )

const lineSchema = v.strictObject({
  timestamp: v.pipe(
    v.number(),
    v.minValue(0, 'expected at least 0'),
    v.maxValue(defaults.maxTraceTimeMs, `expected at most ${defaults.maxTraceTimeMs}`),
  ),
  input_length: count(1, defaults.maxTraceTokens),
  output_length: count(1, defaults.maxTraceTokens),
  hash_ids: v.array(count(0, Number.MAX_SAFE_INTEGER)),
})

/**
 * Mooncake's JSON lines: `timestamp` in ms, `input_length` and `output_length` in tokens, `hash_ids` of the prompt's
 * blocks. An id stands for a block together with everything before it. Rejects with FILE_INVALID at the first line
 * that does not fit.
 */
export async function readMooncakeTrace(path: string, options: TraceReadOptions = {}): Promise<Trace> {
  const {
    limit,
    spreadTicks,
    speedUp,
    seed,
    signal,
    blockTokens,
    tickMs = defaults.mooncakeTickMs,
  } = parseOptions('readMooncakeTrace', traceReadOptionsSchema, options)
  const raw: RawRequest[] = []
  for await (const line of traceLines(path, signal)) {
    raw.push(parseLine(path, line, blockTokens))
    if (raw.length === limit) break
  }
  if (raw.length === 0) throw lineError({ file: path, line: 1, field: '', value: undefined, expected: 'at least one request' })
  return arrangeTrace(raw, { name: basename(path, '.jsonl'), blockTokens, tickMs, spreadTicks, speedUp, seed, limit })
}

function parseLine(file: string, { number, text }: TraceLine, blockTokens: number): RawRequest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw lineError({ file, line: number, field: '', value: text, expected: 'a JSON object' }, error)
  }
  const result = v.safeParse(lineSchema, value, { abortEarly: true })
  if (!result.success) {
    const issue = result.issues[0]
    const expected = issue.kind === 'validation' ? issue.message.replace(/^expected /, '') : fieldExpectation(issue.expected)
    throw lineError({ file, line: number, field: v.getDotPath(issue) ?? '', value: issue.input, expected })
  }
  const { timestamp, input_length, output_length, hash_ids } = result.output
  const blocks = Math.ceil(input_length / blockTokens)
  if (hash_ids.length !== blocks) {
    const expected = `${blocks} ids, one for each ${blockTokens} of input_length ${input_length}`
    throw lineError({ file, line: number, field: 'hash_ids', value: `${hash_ids.length} ids`, expected })
  }
  return { arrivalMs: timestamp, promptTokens: input_length, outputTokens: output_length, blockIds: hash_ids }
}

/** valibot says `never` for a key that the schema does not know. */
function fieldExpectation(expected: string | null): string {
  return expected === 'never' ? 'no such field' : (expected ?? 'another value')
}
