import { createReadStream } from 'node:fs'
import { KvFleetError, toKvFleetError } from '@kvfleet/core'

export interface TraceLine {
  /** From 1, as editors count. */
  readonly number: number
  readonly text: string
}

/** The lines of a file that are not blank, one at a time: a trace may be larger than memory. */
export async function* traceLines(path: string, signal?: AbortSignal): AsyncGenerator<TraceLine> {
  let number = 0
  let rest = ''
  try {
    for await (const chunk of createReadStream(path, { encoding: 'utf8', ...(signal && { signal }) })) {
      const texts = (rest + chunk).split('\n')
      rest = texts.pop() ?? ''
      for (const text of texts) {
        number++
        if (text.trim() !== '') yield { number, text }
      }
    }
  } catch (error) {
    throw toKvFleetError(error, 'FILE_INVALID', `${path}: cannot be read`, { details: { file: path } })
  }
  if (rest.trim() !== '') yield { number: number + 1, text: rest }
}

export interface LineFault {
  readonly file: string
  readonly line: number
  readonly field: string
  readonly value: unknown
  readonly expected: string
}

/** FILE_INVALID for one line: which file, line, field and value, and what belongs there. */
export function lineError(fault: LineFault, cause?: unknown): KvFleetError {
  const { file, line, field, expected } = fault
  const value = shorten(fault.value)
  const where = field === '' ? '' : `${field}: `
  return new KvFleetError('FILE_INVALID', `${file}, line ${line}: ${where}expected ${expected}, got ${value}`, {
    details: { file, line, field, value, expected },
    cause,
  })
}

const LONGEST_VALUE = 60

function shorten(value: unknown): string {
  const text = value === undefined ? 'nothing' : typeof value === 'string' ? `"${value}"` : (JSON.stringify(value) ?? String(value))
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text
}
