import { KvFleetError, type PromptInput } from '@kvfleet/core'
import { promptFromBody } from '../prompt/prompt-from-body.js'
import { type RoutingRequest, routingRequest } from '../routing-request.js'
import type { DispatchRequest } from './dispatcher.js'
import { singleHeader } from './headers.js'
import { pathname } from './request-path.js'

export interface RoutingInput {
  readonly request: RoutingRequest
  readonly prompt: PromptInput | undefined
}

const SESSION_HEADER = 'x-session-id'
/** Bodies posted to these the gateway has to understand; of others it reads what it can. */
const MUST_BE_JSON = new Set(['/v1/chat/completions', '/v1/completions', '/v1/embeddings'])

/** What routing needs of a client's request. Throws REQUEST_INVALID for a body that has to be a JSON object and is not. */
export function routingInput(id: string, { method, path, headers, body }: DispatchRequest): RoutingInput {
  const sessionId = singleHeader(headers, SESSION_HEADER)
  const session = sessionId === undefined ? {} : { sessionId }
  const route = pathname(path)
  const parsed = jsonObject(body, method === 'POST' && MUST_BE_JSON.has(route), headers)
  if (parsed === undefined) return { request: routingRequest({ id, ...session }), prompt: undefined }
  const { prompt, routing } = promptFromBody(route, parsed)
  return { request: routingRequest({ id, ...session, ...routing }), prompt }
}

function jsonObject(
  body: DispatchRequest['body'],
  required: boolean,
  headers: DispatchRequest['headers'],
): Readonly<Record<string, unknown>> | undefined {
  if (!required && !singleHeader(headers, 'content-type')?.includes('json')) return undefined
  let parsed: unknown
  try {
    parsed = JSON.parse(bodyText(body))
  } catch {
    // The parser's message quotes the body.
    if (required) throw new KvFleetError('REQUEST_INVALID', 'body: expected JSON', { details: { field: 'body', expected: 'JSON' } })
    return undefined
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as Record<string, unknown>
  if (required)
    throw new KvFleetError('REQUEST_INVALID', 'body: expected a JSON object', { details: { field: 'body', expected: 'a JSON object' } })
  return undefined
}

function bodyText(body: DispatchRequest['body'] = ''): string {
  return typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
}
