import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KvFleetError } from '@kvfleet/core'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { summarize } from '../metrics/summarize.js'
import type { Trace, TraceRequest } from '../workload/trace.js'
import { replay } from './replay.js'

interface CompletionBody {
  readonly model: string
  readonly prompt: readonly number[]
  readonly max_tokens: number
  readonly stream: boolean
  readonly ignore_eos: boolean
  readonly stream_options: { readonly include_usage: boolean; readonly continuous_usage_stats?: boolean }
}

type Answer = (body: CompletionBody, response: ServerResponse, request: IncomingMessage) => void

let server: Server | undefined
afterEach(async () => {
  const closing = server
  server = undefined
  closing?.closeAllConnections()
  await new Promise<void>(resolve => (closing === undefined ? resolve() : closing.close(() => resolve())))
})

async function serve(answer: Answer): Promise<string> {
  server = createServer((request, response) => {
    let text = ''
    request.on('data', chunk => {
      text += chunk
    })
    request.on('end', () => answer(JSON.parse(text) as CompletionBody, response, request))
  })
  await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`
const chunk = (text: string, finish: string | null = null, usage?: unknown) =>
  event({ id: 'c', choices: [{ index: 0, text, finish_reason: finish }], ...(usage !== undefined && { usage }) })
const usageOf = (prompt: number, completion: number, cached?: number) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  ...(cached !== undefined && { prompt_tokens_details: { cached_tokens: cached } }),
})

/** The whole answer at once: as many chunks as tokens. */
const complete: Answer = (body, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'x-kvfleet-worker': 'w7' })
  for (let token = 1; token <= body.max_tokens; token++) response.write(chunk(`t${token} `, token === body.max_tokens ? 'length' : null))
  response.write(event({ id: 'c', choices: [], usage: usageOf(body.prompt.length, body.max_tokens, 16) }))
  response.end('data: [DONE]\n\n')
}

function traceOf(arrivals: readonly number[], change: Partial<TraceRequest> = {}): Trace {
  const requests = arrivals.map((arrivalMs, index) => ({
    index,
    arrivalMs,
    promptTokens: 20,
    outputTokens: 3,
    blockIds: [0, index + 1],
    ...change,
  }))
  return { name: 'test', blockTokens: 16, requests, notes: [] }
}

describe('replay', () => {
  it('sends token ids with a fixed output length and records usage, worker and one entry per chunk', async () => {
    const bodies: CompletionBody[] = []
    const url = await serve((body, response, request) => {
      bodies.push(body)
      complete(body, response, request)
    })
    const { records, aborted } = await replay(traceOf([0, 5, 10]), { url: `${url}/`, model: 'm' })
    expect(aborted).toBe(false)
    expect(bodies).toHaveLength(3)
    expect(bodies[0]).toMatchObject({ model: 'm', max_tokens: 3, stream: true, ignore_eos: true, stream_options: { include_usage: true } })
    expect(bodies.map(body => body.prompt.length)).toEqual([20, 20, 20])
    expect(records.map(record => record.index)).toEqual([0, 1, 2])
    for (const record of records) {
      expect(record).toMatchObject({
        outcome: 'completed',
        promptTokens: 20,
        cachedTokens: 16,
        outputTokens: 3,
        workerId: 'w7',
        error: undefined,
      })
      expect(Array.from(record.chunkTokens)).toEqual([1, 1, 1])
      expect(record.firstTokenAt).toBe(record.chunkAt[0])
      expect(record.sentAt).toBeGreaterThanOrEqual(record.intendedAt)
      expect(record.endedAt).toBeGreaterThanOrEqual(record.chunkAt[2] as number)
    }
  })

  it('is an open loop: it sends on time while nothing has been answered', async () => {
    const waiting: (() => void)[] = []
    const url = await serve((body, response, request) => {
      waiting.push(() => complete(body, response, request))
      if (waiting.length === 5) for (const answer of waiting) answer()
    })
    const { records } = await replay(traceOf([0, 10, 20, 30, 40]), { url, model: 'm' })
    expect(summarize(records).completedRequests).toBe(5)
    for (const record of records) expect(record.firstTokenAt).toBeGreaterThan(40)
  })

  it('holds back above maxInFlight and counts the latency from the intended time', async () => {
    let inFlight = 0
    let most = 0
    const url = await serve((body, response, request) => {
      most = Math.max(most, ++inFlight)
      response.once('close', () => inFlight--)
      setTimeout(() => complete(body, response, request), 20)
    })
    const { records, sendLagMs } = await replay(traceOf([0, 0, 0, 0]), { url, model: 'm' }, { maxInFlight: 1 })
    expect(most).toBe(1)
    expect(sendLagMs.max).toBeGreaterThanOrEqual(57)
    const last = records.reduce((latest, record) => (record.sentAt > latest.sentAt ? record : latest))
    expect((last.firstTokenAt as number) - last.intendedAt).toBeGreaterThanOrEqual(76)
  })

  it('replays faster by timeScale and reports model time', async () => {
    const url = await serve((body, response, request) => setTimeout(() => complete(body, response, request), 10))
    const { records, wallMs, timeScale } = await replay(traceOf([0, 1000, 2000]), { url, model: 'm' }, { timeScale: 20 })
    expect(timeScale).toBe(20)
    expect(wallMs).toBeGreaterThanOrEqual(100)
    expect(wallMs).toBeLessThan(1500)
    expect(records.map(record => record.intendedAt)).toEqual([0, 1000, 2000])
    for (const record of records) expect((record.firstTokenAt as number) - record.sentAt).toBeGreaterThanOrEqual(190)
  })

  it('takes empty and role-only chunks for nothing, in whatever pieces bytes arrive', async () => {
    const text = [
      event({ choices: [{ index: 0, text: '', finish_reason: null }] }),
      chunk('é "text":"" \\ \n '),
      ': a comment\n\n',
      'data: {"choices": [{"text": "spaced", "finish_reason": null}]}\r\n\r\n',
      chunk('"finish_reason":"length"'),
      event({ choices: [{ index: 0, text: '', finish_reason: 'length' }] }),
      event({ choices: [], usage: usageOf(20, 3) }),
      'data: [DONE]\n\n',
    ].join('')
    const bytes = Buffer.from(text)
    const url = await serve(async (_body, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let start = 0; start < bytes.length; start += 7) {
        if (!response.write(bytes.subarray(start, start + 7))) await new Promise(resolve => response.once('drain', resolve))
        await new Promise(resolve => setImmediate(resolve))
      }
      response.end()
    })
    const { records } = await replay(traceOf([0]), { url, model: 'm' })
    expect(records[0]).toMatchObject({ outcome: 'completed', outputTokens: 3, cachedTokens: undefined })
    expect(records[0]?.chunkAt).toHaveLength(3)
  })

  it('reads the count of every chunk when the engine tells it', async () => {
    const url = await serve((body, response) => {
      expect(body.stream_options.continuous_usage_stats).toBe(true)
      response.writeHead(200)
      response.write(chunk('a', null, usageOf(20, 1)))
      response.write(chunk('bcd', null, usageOf(20, 4)))
      response.write(chunk('', null, usageOf(20, 5)))
      response.write(chunk('e', 'length', usageOf(20, 7)))
      response.end(`${event({ choices: [], usage: usageOf(20, 7, 0) })}data: [DONE]\n\n`)
    })
    const { records } = await replay(traceOf([0]), { url, model: 'm' }, { continuousUsage: true })
    expect(Array.from(records[0]?.chunkTokens ?? [])).toEqual([1, 3, 1, 2])
    expect(records[0]).toMatchObject({ outputTokens: 7, cachedTokens: 0 })
  })

  it('divides the total evenly when chunks carry more tokens than they tell', async () => {
    const url = await serve((_body, response) => {
      response.writeHead(200)
      response.end(`${chunk('a b')}${chunk('c d', 'length')}${event({ choices: [], usage: usageOf(20, 5) })}data: [DONE]\n\n`)
    })
    const { records } = await replay(traceOf([0]), { url, model: 'm' })
    expect(Array.from(records[0]?.chunkTokens ?? [])).toEqual([3, 2])
  })

  it.each<[string, Answer, string]>([
    [
      'a status with its code, without the message',
      (_body, response) => {
        response.writeHead(503, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ error: { code: 'ROUTE_NO_WORKER', message: 'prompt was: secret' } }))
      },
      'HTTP 503: ROUTE_NO_WORKER',
    ],
    ['a status without a body', (_body, response) => response.writeHead(500).end(), 'HTTP 500'],
    [
      'an error inside the stream',
      (_body, response) => {
        response.writeHead(200)
        response.end(`${chunk('a')}${event({ error: { type: 'internal', message: 'secret' } })}data: [DONE]\n\n`)
      },
      'error in the stream: internal',
    ],
    [
      'a stream that ends too early',
      (_body, response) => {
        response.writeHead(200)
        response.end(chunk('a'))
      },
      'the stream ended before the response was whole',
    ],
    [
      'a connection that breaks',
      (_body, response) => {
        response.writeHead(200)
        response.write(chunk('a'), () => response.socket?.destroy())
      },
      'UND_ERR_SOCKET',
    ],
  ])('records %s as failed', async (_name, answer, error) => {
    const url = await serve(answer)
    const { records } = await replay(traceOf([0, 1]), { url, model: 'm' })
    expect(records.map(record => [record.outcome, record.error])).toEqual([
      ['failed', error],
      ['failed', error],
    ])
  })

  it('records a server that is not there', async () => {
    const url = await serve(complete)
    await new Promise<void>(resolve => server?.close(() => resolve()))
    server = undefined
    const { records } = await replay(traceOf([0]), { url, model: 'm' })
    expect(records[0]).toMatchObject({ outcome: 'failed', error: 'ECONNREFUSED', firstTokenAt: undefined, outputTokens: 0 })
  })

  it('fails a request after its timeout, which is model time', async () => {
    const url = await serve((_body, response) => {
      response.writeHead(200)
      response.write(chunk('a'))
    })
    const { records } = await replay(traceOf([0]), { url, model: 'm' }, { timeScale: 10, requestTimeoutMs: 500 })
    expect(records[0]).toMatchObject({ outcome: 'failed', error: 'timed out after 500 ms', outputTokens: 1 })
    expect(records[0]?.endedAt).toBeGreaterThanOrEqual(500)
  })

  it('ends with what was sent when its signal aborts', async () => {
    const controller = new AbortController()
    const url = await serve((_body, response) => {
      response.writeHead(200)
      response.write(chunk('a'), () => controller.abort())
    })
    const progress: number[] = []
    const onProgress = ({ sent }: { readonly sent: number }) => progress.push(sent)
    const { records, aborted } = await replay(traceOf([0, 60_000]), { url, model: 'm' }, { signal: controller.signal, onProgress })
    expect(aborted).toBe(true)
    expect(records.map(record => record.error)).toEqual(['aborted'])
    expect(progress.at(-1)).toBe(1)
  })

  it('rejects options that do not fit, and a signal that aborted before', async () => {
    const fault = await replay(traceOf([0]), { url: 'nowhere', model: 'm' }).catch(error => error)
    expect(KvFleetError.is(fault, 'OPTION_INVALID')).toBe(true)
    const early = await replay(traceOf([0]), { url: 'http://127.0.0.1:9', model: 'm' }, { signal: AbortSignal.abort() }).catch(
      error => error,
    )
    expect(KvFleetError.is(early, 'ABORTED')).toBe(true)
  })

  it.each([0, 1])('ends what is in flight and rejects with what onProgress throws, with %i requests completed', async completedBefore => {
    let open = 0
    let answered = 0
    const url = await serve((body, response, request) => {
      if (answered++ < completedBefore) return complete(body, response, request)
      open++
      response.once('close', () => open--)
      response.writeHead(200)
      response.write(chunk('a'))
    })
    const fault = new Error('the display broke')
    const onProgress = ({ sent, completed }: { readonly sent: number; readonly completed: number }) => {
      if (sent === 3 && completed === completedBefore) throw fault
    }
    await expect(replay(traceOf([0, 20, 40, 60_000]), { url, model: 'm' }, { onProgress })).rejects.toBe(fault)
    await vi.waitFor(() => expect(open).toBe(0))
  })

  it.each(['nowhere:s3cret', 'ftp://127.0.0.1/s3cret', 'http://user:s3cret@127.0.0.1:9', 'http://[s3cret'])(
    'rejects the URL %s without quoting it',
    async url => {
      const fault = await replay(traceOf([0]), { url, model: 'm' }).catch(error => error)
      expect(KvFleetError.is(fault, 'OPTION_INVALID')).toBe(true)
      expect(fault.message).toBe('replay target: url: expected an absolute http or https URL without credentials')
      expect(JSON.stringify(fault.details)).not.toContain('s3cret')
      expect(fault.cause).toBeUndefined()
    },
  )

  it('has nothing to do for an empty trace', async () => {
    const { records } = await replay(traceOf([]), { url: 'http://127.0.0.1:9', model: 'm' })
    expect(records).toEqual([])
  })
})
