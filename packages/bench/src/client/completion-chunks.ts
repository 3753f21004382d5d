/**
 * Reads the event stream of /v1/completions. A hot path: chunks are told apart by their markers and only the last event
 * with a usage is parsed as JSON. A marker inside generated text cannot be mistaken for one: there its quotes are escaped.
 */
export interface ChunkSink {
  /** A chunk with output; `total` is the number of output tokens so far when the engine tells it with every chunk. */
  onTokens(total: number | undefined): void
}

/** What the stream has told so far. */
export interface StreamState {
  /** A finish reason or `[DONE]` was seen: the response is whole. */
  readonly finished: boolean
  /** JSON of the last event that carried a usage. */
  readonly usageEvent: string | undefined
  /** JSON of an error event. */
  readonly errorEvent: string | undefined
}

const LINE_FEED = '\n'
const DATA = 'data:'
const TEXT = '"text":'
const FINISH = '"finish_reason":'
const COUNT = '"completion_tokens":'

export class CompletionChunks implements StreamState {
  finished = false
  usageEvent: string | undefined
  errorEvent: string | undefined
  readonly #sink: ChunkSink
  #rest = ''
  #total: number | undefined
  #countsTold: boolean | undefined

  constructor(sink: ChunkSink) {
    this.#sink = sink
  }

  push(data: Buffer): void {
    // One byte a character: splitting inside a UTF-8 sequence does no harm, the markers are ASCII.
    const fresh = data.toString('latin1')
    const text = this.#rest === '' ? fresh : this.#rest + fresh
    let start = 0
    for (let end = text.indexOf(LINE_FEED); end !== -1; end = text.indexOf(LINE_FEED, start)) {
      if (text.startsWith(DATA, start)) this.#event(text.slice(start + DATA.length, end))
      start = end + 1
    }
    this.#rest = text.slice(start)
  }

  #event(event: string): void {
    const text = event.indexOf(TEXT)
    if (text === -1) this.#ending(event)
    else if (hasString(event, text + TEXT.length)) {
      // Engines tell the count with every chunk or with none: looking once saves a search per chunk.
      if (this.#countsTold === undefined) this.#countsTold = event.includes(COUNT)
      const total = this.#countsTold ? this.#count(event) : undefined
      this.#sink.onTokens(total)
      this.#total = total
    } else {
      const total = this.#count(event)
      // Tokens whose text is held back: part of a character, or of a stop string.
      if (total !== undefined && total > (this.#total ?? 0)) {
        this.#sink.onTokens(total)
        this.#total = total
      }
    }
    if (text !== -1) {
      const finish = event.indexOf(FINISH, text)
      if (finish !== -1 && hasString(event, finish + FINISH.length)) this.finished = true
    }
  }

  /** An event without a choice: the usage, an error, or the end. */
  #ending(event: string): void {
    if (this.#count(event) !== undefined) return
    const trimmed = event.trim()
    if (trimmed === '[DONE]') this.finished = true
    else if (/^\{\s*"error"/.test(trimmed)) this.errorEvent = trimmed
  }

  #count(event: string): number | undefined {
    const total = numberAfter(event, COUNT)
    if (total !== undefined) this.usageEvent = event
    return total
  }
}

/** True when a string that is not empty begins here, after spaces. */
function hasString(event: string, start: number): boolean {
  let index = start
  while (event.charCodeAt(index) === 0x20) index++
  return event.charCodeAt(index) === 0x22 && event.charCodeAt(index + 1) !== 0x22
}

function numberAfter(event: string, key: string): number | undefined {
  const found = event.indexOf(key)
  if (found === -1) return undefined
  let index = found + key.length
  while (event.charCodeAt(index) === 0x20) index++
  let value: number | undefined
  for (let digit = event.charCodeAt(index) - 0x30; digit >= 0 && digit <= 9; digit = event.charCodeAt(++index) - 0x30) {
    value = (value ?? 0) * 10 + digit
  }
  return value
}
