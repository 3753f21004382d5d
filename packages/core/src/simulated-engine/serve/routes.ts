import type { IncomingMessage, ServerResponse } from 'node:http'
import { errorMessage } from '../../errors.js'
import { ApiError, badRequest } from './api-error.js'
import { type GenerationContext, generate } from './generation.js'
import { HIGH_WATER_MARK, type KvPublisher } from './kv-publisher.js'
import type { ResolvedServeOptions } from './options.js'
import { parseChat, parseCompletion, parseTokenize } from './request-body.js'

/** The vLLM release whose HTTP surface this follows. */
const VLLM_VERSION = '0.33.0'
/** Bodies beyond this are refused: far above the longest prompt as ids. */
const MAX_BODY_BYTES = 64 * 1024 * 1024

type Route = (incoming: IncomingMessage, response: ServerResponse) => unknown

export interface RoutesContext extends GenerationContext {
  readonly options: ResolvedServeOptions
  readonly publisher: KvPublisher | undefined
}

/** Answers every request, refusals included; never rejects. */
export function createRoutes(context: RoutesContext): (incoming: IncomingMessage, response: ServerResponse) => void {
  const { engine, options, tokenizer, metrics, publisher } = context
  const startedAt = Math.floor(context.now() / 1000)
  const routes: Readonly<Record<string, Route>> = {
    'GET /health': (_, response) => response.writeHead(200).end(),
    'GET /version': (_, response) => sendJson(response, { version: VLLM_VERSION }),
    'GET /load': (_, response) => {
      const { runningRequests, waitingRequests } = engine.stats()
      sendJson(response, { server_load: runningRequests + waitingRequests })
    },
    'GET /v1/models': (_, response) =>
      sendJson(response, {
        object: 'list',
        data: [
          {
            id: options.model,
            object: 'model',
            created: startedAt,
            owned_by: 'vllm',
            root: options.model,
            parent: null,
            max_model_len: options.maxModelLength,
            permission: [],
          },
        ],
      }),
    'GET /metrics': (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(metrics.render(engine.stats()))
    },
    'GET /kv_event_sources': (_, response) => sendJson(response, publisher === undefined ? {} : { 0: sourceOf(publisher, options) }),
    'POST /reset_prefix_cache': (_, response) => {
      // vLLM refuses while any block is in use.
      const success = engine.stats().kvUsage === 0
      if (success) engine.resetPrefixCache()
      sendJson(response, { success })
    },
    'POST /tokenize': async (incoming, response) => {
      const tokens = Array.from(parseTokenize(await readJson(incoming), tokenizer))
      sendJson(response, { count: tokens.length, max_model_len: options.maxModelLength, tokens, token_strs: null })
    },
    'POST /v1/completions': async (incoming, response) =>
      generate(context, parseCompletion(await readJson(incoming), options, tokenizer), incoming, response),
    'POST /v1/chat/completions': async (incoming, response) =>
      generate(context, parseChat(await readJson(incoming), options, tokenizer), incoming, response),
  }
  const paths = new Set(Object.keys(routes).map(route => route.slice(route.indexOf(' ') + 1)))

  return (incoming, response) => {
    const path = (incoming.url ?? '/').split('?', 1)[0] as string
    const route = routes[`${incoming.method} ${path}`]
    if (route === undefined) {
      const known = paths.has(path)
      return sendError(
        response,
        known ? new ApiError(405, 'MethodNotAllowed', 'Method Not Allowed') : new ApiError(404, 'NotFound', 'Not Found'),
      )
    }
    const answer = async () => route(incoming, response)
    answer().catch(error => sendError(response, error))
  }
}

function sourceOf({ port, replayPort }: KvPublisher, { kvEvents }: ResolvedServeOptions) {
  return {
    enable_kv_cache_events: true,
    publisher: 'zmq',
    endpoint: `tcp://*:${port}`,
    replay_endpoint: `tcp://*:${replayPort}`,
    buffer_steps: kvEvents?.bufferSteps,
    hwm: HIGH_WATER_MARK,
    max_queue_size: HIGH_WATER_MARK,
    topic: kvEvents?.topic,
  }
}

async function readJson(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw new ApiError(413, 'BadRequestError', `The body exceeds ${MAX_BODY_BYTES} bytes.`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw badRequest('The body is not JSON.')
  }
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

function sendError(response: ServerResponse, error: unknown): void {
  const refusal = error instanceof ApiError ? error : new ApiError(500, 'InternalServerError', errorMessage(error))
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  response.writeHead(refusal.status, { 'content-type': 'application/json' }).end(JSON.stringify(refusal))
}
