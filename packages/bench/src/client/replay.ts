import { errorMessage, KvFleetError, parseOptions, type ScheduledCall } from '@kvfleet/core'
import { Pool } from 'undici'
import type { Distribution } from '../metrics/distribution.js'
import type { RequestRecord } from '../metrics/request-record.js'
import { summarize } from '../metrics/summarize.js'
import { promptTokenIds } from '../workload/prompt-tokens.js'
import type { Trace, TraceRequest } from '../workload/trace.js'
import { completionBody } from './completion-body.js'
import { CompletionRequest } from './completion-request.js'
import { type ReplayOptions, type ReplayTarget, replayOptionsSchema, replayTargetSchema } from './replay-options.js'

export interface ReplayResult {
  /** In the trace's order; times in ms of model time since the start. Only requests that were sent. */
  readonly records: readonly RequestRecord[]
  /** How late the client sent, in model time. */
  readonly sendLagMs: Distribution
  readonly timeScale: number
  /** The clock's milliseconds at model time 0. */
  readonly startedAt: number
  readonly wallMs: number
  readonly aborted: boolean
}

/** Prompts built in one go before the event loop gets a turn, so that arriving chunks are not stamped late. */
const TOKENS_PER_TURN = 65_536

/**
 * Sends every request of the trace at its intended time, however many are in flight (open loop), as a streaming
 * completion over token ids with a fixed output length. A request that fails is a record with its error; nothing that a
 * server does makes this reject. Rejects with OPTION_INVALID, with ABORTED when the signal has aborted before the start,
 * and with what `onProgress` throws, after ending what is in flight.
 */
export async function replay(trace: Trace, target: ReplayTarget, options: ReplayOptions = {}): Promise<ReplayResult> {
  checkUrl(target?.url)
  const { url, model, headers } = parseOptions('replay target', replayTargetSchema, target)
  const parsed = parseOptions('replay', replayOptionsSchema, options)
  const { timeScale, clock, signal, onProgress, requestTimeoutMs, vocabularySize, workerHeader, continuousUsage } = parsed
  const maxInFlight = parsed.maxInFlight ?? Number.POSITIVE_INFINITY
  if (signal?.aborted) throw new KvFleetError('ABORTED', 'replay: aborted before its start', { cause: signal.reason })

  const { origin, pathname } = new URL(url)
  // Timeouts are the replay's own, in model time; connections are as many as requests are in flight.
  const pool = new Pool(origin, { connections: null, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })
  const path = `${pathname.replace(/\/$/, '')}/v1/completions`
  const requestHeaders = { ...headers, 'content-type': 'application/json', accept: 'text/event-stream' }
  const total = trace.requests.length
  const startedAt = clock.now()
  const modelNow = () => (clock.now() - startedAt) * timeScale

  const records: RequestRecord[] = []
  const inFlight = new Set<CompletionRequest>()
  let next = 0
  let completed = 0
  let prepared: { readonly index: number; readonly body: Buffer } | undefined
  let timer: ScheduledCall | undefined
  let held = false
  let aborted = false
  let listenerFault: { readonly error: unknown } | undefined
  let done = () => {}
  const finished = new Promise<void>(resolve => {
    done = resolve
  })

  const usage = continuousUsage ? ',"continuous_usage_stats":true' : ''
  const bodyOf = (request: TraceRequest): Buffer =>
    completionBody(
      `{"model":${JSON.stringify(model)},"prompt":[`,
      promptTokenIds(request, trace, { vocabularySize }),
      `],"max_tokens":${request.outputTokens},"ignore_eos":true,"temperature":0,"stream":true,"stream_options":{"include_usage":true${usage}}}`,
    )

  const end = () => {
    aborted = true
    timer?.cancel()
    for (const entry of [...inFlight]) entry.abort('aborted')
    done()
  }
  const listenerFailed = (error: unknown) => {
    listenerFault ??= { error }
    end()
  }
  const report = () => {
    if (onProgress === undefined || listenerFault !== undefined) return
    try {
      const result: unknown = onProgress({ sent: next, completed, failed: records.length - completed, total })
      if (result instanceof Promise) result.catch(listenerFailed)
    } catch (error) {
      listenerFailed(error)
    }
  }

  const send = (request: TraceRequest, body: Buffer): void => {
    const entry = new CompletionRequest(request, modelNow, workerHeader, record => {
      timeout.cancel()
      inFlight.delete(entry)
      records.push(record)
      if (record.outcome === 'completed') completed++
      report()
      if (records.length === total) done()
      else if (held) pump()
    })
    const timeout = clock.schedule(requestTimeoutMs / timeScale, () => entry.abort(`timed out after ${requestTimeoutMs} ms`), {
      background: true,
    })
    inFlight.add(entry)
    report()
    // The listener may have ended the replay, and with it this request.
    if (aborted) return
    try {
      pool.dispatch({ path, method: 'POST', headers: requestHeaders, body }, entry)
    } catch (error) {
      entry.abort(errorMessage(error))
    }
  }

  /** Sends what is due, builds the next body ahead of its time, and comes back when it is due. */
  function pump(): void {
    held = false
    let tokens = 0
    while (next < total && !aborted) {
      const request = trace.requests[next] as TraceRequest
      if (prepared?.index !== next) {
        prepared = { index: next, body: bodyOf(request) }
        tokens += request.promptTokens
      }
      const waitMs = startedAt + request.arrivalMs / timeScale - clock.now()
      held = waitMs <= 0 && inFlight.size >= maxInFlight
      if (held) return
      if (waitMs > 0 || tokens > TOKENS_PER_TURN) {
        timer = clock.schedule(waitMs, pump)
        return
      }
      const { body } = prepared
      prepared = undefined
      next++
      send(request, body)
    }
  }

  signal?.addEventListener('abort', end, { once: true })
  try {
    if (total === 0) done()
    else pump()
    await finished
  } finally {
    signal?.removeEventListener('abort', end)
    await pool.destroy()
  }
  if (listenerFault !== undefined) throw listenerFault.error
  records.sort((a, b) => a.index - b.index)
  return { records, sendLagMs: summarize(records).sendLagMs, timeScale, startedAt, wallMs: clock.now() - startedAt, aborted }
}

/** Apart from the schema, whose error quotes the value: a URL may hold credentials. */
function checkUrl(url: unknown): void {
  if (typeof url !== 'string') return
  const { protocol, username, password } = URL.canParse(url) ? new URL(url) : { protocol: '', username: '', password: '' }
  if ((protocol === 'http:' || protocol === 'https:') && username === '' && password === '') return
  const expected = 'an absolute http or https URL without credentials'
  const details = { what: 'replay target', field: 'url', expected }
  throw new KvFleetError('OPTION_INVALID', `replay target: url: expected ${expected}`, { details })
}
