import type { Dispatcher } from 'undici'
import * as v from 'valibot'
import type { RequestRecord } from '../metrics/request-record.js'
import type { TraceRequest } from '../workload/trace.js'
import { CompletionChunks } from './completion-chunks.js'

const usageSchema = v.object({
  usage: v.object({
    prompt_tokens: v.number(),
    completion_tokens: v.number(),
    prompt_tokens_details: v.nullish(v.object({ cached_tokens: v.nullish(v.number()) })),
  }),
})

const errorSchema = v.object({ error: v.object({ code: v.optional(v.unknown()), type: v.optional(v.unknown()) }) })

/** Error bodies are read up to this size, for the error's code alone. */
const MAX_ERROR_BYTES = 64 * 1024

/** One request under way: records what arrives and when, and ends exactly once. */
export class CompletionRequest implements Dispatcher.DispatchHandler {
  readonly #request: TraceRequest
  readonly #now: () => number
  readonly #workerHeader: string
  readonly #onEnd: (record: RequestRecord) => void
  readonly #chunks = new CompletionChunks({ onTokens: total => this.#tokens(total) })
  readonly #sentAt: number
  #chunkAt: Float64Array
  #chunkTokens: Uint16Array
  #count = 0
  #counted = 0
  #at = 0
  #status = 0
  #workerId: string | undefined
  #errorBody = ''
  #controller: Dispatcher.DispatchController | undefined
  #abortReason: string | undefined
  #ended = false

  constructor(request: TraceRequest, now: () => number, workerHeader: string, onEnd: (record: RequestRecord) => void) {
    this.#request = request
    this.#now = now
    this.#workerHeader = workerHeader
    this.#onEnd = onEnd
    this.#sentAt = now()
    this.#chunkAt = new Float64Array(request.outputTokens)
    this.#chunkTokens = new Uint16Array(request.outputTokens)
  }

  /** Ends the request as failed; the connection is given up. */
  abort(reason: string): void {
    if (this.#ended) return
    this.#abortReason ??= reason
    this.#controller?.abort(new Error(reason))
    this.#fail(reason)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#abortReason !== undefined) controller.abort(new Error(this.#abortReason))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.#status = status
    const worker = headers[this.#workerHeader]
    this.#workerId = typeof worker === 'string' ? worker : worker?.[0]
  }

  onResponseData(_controller: Dispatcher.DispatchController, data: Buffer): void {
    if (this.#status === 200) {
      this.#at = this.#now()
      this.#chunks.push(data)
    } else if (this.#errorBody.length < MAX_ERROR_BYTES) this.#errorBody += data.toString('latin1')
  }

  onResponseEnd(): void {
    if (this.#status !== 200) this.#fail(`HTTP ${this.#status}${errorName(this.#errorBody)}`)
    else if (this.#chunks.errorEvent !== undefined) this.#fail(`error in the stream${errorName(this.#chunks.errorEvent)}`)
    else if (!this.#chunks.finished) this.#fail('the stream ended before the response was whole')
    else this.#end('completed', undefined)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error & { readonly code?: string }): void {
    this.#fail(this.#abortReason ?? error.code ?? error.name)
  }

  #tokens(total: number | undefined): void {
    if (this.#count === this.#chunkAt.length) this.#grow()
    const tokens = total === undefined ? 1 : Math.max(0, total - this.#counted)
    this.#chunkAt[this.#count] = this.#at
    this.#chunkTokens[this.#count] = tokens
    this.#count++
    this.#counted += tokens
  }

  #grow(): void {
    const chunkAt = new Float64Array(2 * this.#count + 8)
    chunkAt.set(this.#chunkAt)
    this.#chunkAt = chunkAt
    const chunkTokens = new Uint16Array(chunkAt.length)
    chunkTokens.set(this.#chunkTokens)
    this.#chunkTokens = chunkTokens
  }

  #fail(error: string): void {
    this.#end('failed', error)
  }

  #end(outcome: 'completed' | 'failed', error: string | undefined): void {
    if (this.#ended) return
    this.#ended = true
    const usage = this.#chunks.usageEvent === undefined ? undefined : parseUsage(this.#chunks.usageEvent)
    const outputTokens = usage?.completion_tokens ?? this.#counted
    const chunkTokens = this.#chunkTokens.subarray(0, this.#count)
    if (outcome === 'completed' && outputTokens !== this.#counted) spreadEvenly(chunkTokens, outputTokens)
    this.#onEnd({
      index: this.#request.index,
      intendedAt: this.#request.arrivalMs,
      sentAt: this.#sentAt,
      firstTokenAt: this.#count > 0 ? this.#chunkAt[0] : undefined,
      endedAt: this.#now(),
      promptTokens: usage?.prompt_tokens ?? this.#request.promptTokens,
      cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? undefined,
      outputTokens,
      chunkAt: this.#chunkAt.subarray(0, this.#count),
      chunkTokens,
      workerId: this.#workerId,
      outcome,
      error,
    })
  }
}

function parseUsage(event: string): v.InferOutput<typeof usageSchema>['usage'] | undefined {
  const parsed = v.safeParse(usageSchema, parseJson(event))
  return parsed.success ? parsed.output.usage : undefined
}

/** The error's code or type: stable words. Its message may quote the prompt and is left out. */
function errorName(body: string): string {
  const parsed = v.safeParse(errorSchema, parseJson(body))
  const name = parsed.success ? (parsed.output.error.code ?? parsed.output.error.type) : undefined
  return typeof name === 'string' || typeof name === 'number' ? `: ${String(name).slice(0, 80)}` : ''
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'latin1').toString('utf8'))
  } catch {
    return undefined
  }
}

/** An engine that puts several tokens in a chunk without saying so: its total, in equal parts. */
function spreadEvenly(chunkTokens: Uint16Array, total: number): void {
  let given = 0
  for (let chunk = 0; chunk < chunkTokens.length; chunk++) {
    const upTo = Math.round((total * (chunk + 1)) / chunkTokens.length)
    chunkTokens[chunk] = upTo - given
    given = upTo
  }
}
