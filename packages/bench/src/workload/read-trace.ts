import { AZURE_HEADER, readAzureTrace } from './read-azure.js'
import { readMooncakeTrace } from './read-mooncake.js'
import type { Trace } from './trace.js'
import { lineError, traceLines } from './trace-lines.js'
import type { TraceReadOptions } from './trace-options.js'

/** Reads a trace in whichever known format its first line shows. */
export async function readTrace(path: string, options: TraceReadOptions = {}): Promise<Trace> {
  for await (const { number, text } of traceLines(path, options.signal)) {
    const start = text.trim()
    if (start.startsWith('{')) return readMooncakeTrace(path, options)
    if (start === AZURE_HEADER) return readAzureTrace(path, options)
    const expected = `a JSON object (Mooncake) or the header ${AZURE_HEADER} (Azure)`
    throw lineError({ file: path, line: number, field: '', value: text, expected })
  }
  throw lineError({ file: path, line: 1, field: '', value: undefined, expected: 'a trace, not an empty file' })
}
