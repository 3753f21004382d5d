import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { SimulatedEngine } from '../model/engine.js'
import type { EngineMetrics } from './metrics.js'
import { createReplyFormat } from './reply-format.js'
import type { GenerationRequest } from './request-body.js'
import type { SimulatedTokenizer } from './tokenizer.js'

export interface GenerationContext {
  readonly engine: SimulatedEngine
  readonly tokenizer: SimulatedTokenizer
  readonly metrics: EngineMetrics
  readonly timeScale: number
  readonly promptTokensDetails: boolean
  /** Unix milliseconds of the wall clock. */
  now(): number
}

/** Runs one request in the engine and writes its reply. A client that goes away aborts it. */
export function generate(
  context: GenerationContext,
  request: GenerationRequest,
  incoming: IncomingMessage,
  response: ServerResponse,
): void {
  const { engine, tokenizer, metrics, timeScale, promptTokensDetails } = context
  const given = incoming.headers['x-request-id']
  const requestId = typeof given === 'string' ? given : randomUUID().replaceAll('-', '').slice(0, 16)
  const id = `${request.kind === 'chat' ? 'chatcmpl' : 'cmpl'}-${requestId}`
  const format = createReplyFormat({ id, created: Math.floor(context.now() / 1000), request, tokenizer, promptTokensDetails })
  const out = new BatchedResponse(response)
  const tokens = new Uint32Array(request.stream ? 0 : request.maxTokens)
  let produced = 0
  let lastAt = 0
  const submittedAt = engine.clock.now()

  if (request.stream) {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-request-id': requestId })
    // As vLLM does: the client learns that it was accepted before the first token.
    response.flushHeaders()
  }
  const abort = engine.submit(
    { id, prompt: request.prompt, maxTokens: request.maxTokens, ...(request.cacheSalt !== undefined && { cacheSalt: request.cacheSalt }) },
    {
      wantsTokens: true,
      onTokens(run) {
        const ids = run.tokens as Uint32Array
        for (let index = 0; index < run.count; index++) {
          const at = run.firstAt + index * run.intervalMs
          const waited = (at - (produced === 0 ? submittedAt : lastAt)) / timeScale / 1000
          ;(produced === 0 ? metrics.timeToFirstToken : metrics.interTokenLatency).observe(waited)
          lastAt = at
          const token = ids[index] as number
          if (!request.stream) tokens[produced++] = token
          else out.write(format.chunk(token, ++produced, produced === request.maxTokens ? request.finishReason : null))
        }
      },
      onEnd(result) {
        if (result.finish !== 'length') {
          metrics.finished('abort')
          response.destroy()
          return
        }
        metrics.finished(request.finishReason)
        if (request.stream) out.end(format.tail(result))
        else {
          response.writeHead(200, { 'content-type': 'application/json', 'x-request-id': requestId })
          out.end(format.whole(tokens, result))
        }
      },
    },
  )
  response.on('close', abort)
}

/** Everything written within one turn goes out in one write: a late timer hands over several tokens at once. */
class BatchedResponse {
  readonly #response: ServerResponse
  #pending = ''
  #ended = false

  constructor(response: ServerResponse) {
    this.#response = response
  }

  write(text: string): void {
    if (this.#pending === '' && !this.#ended) queueMicrotask(() => this.#flush())
    this.#pending += text
  }

  end(text: string): void {
    this.write(text)
    this.#ended = true
  }

  #flush(): void {
    const text = this.#pending
    this.#pending = ''
    if (this.#response.destroyed) return
    if (this.#ended) this.#response.end(text)
    else writeChunk(this.#response, text)
  }
}

/**
 * One chunk of a response whose head has been sent, as one piece: `response.write` would hand the socket three, and
 * that is most of what a token costs.
 */
function writeChunk(response: ServerResponse, text: string): void {
  const { socket, req } = response
  // A pipelined response has no socket until its turn comes; HTTP/1.0 knows no chunks.
  if (socket === null || req.httpVersionMinor === 0) response.write(text)
  else socket.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
}
