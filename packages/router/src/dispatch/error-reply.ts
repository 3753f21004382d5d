import { type ErrorCode, KvFleetError } from '@kvfleet/core'
import { dispatchDefaults } from './defaults.js'

export interface ErrorReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON in OpenAI's shape. */
  readonly body: string
}

/** Codes that are not listed are 500: they tell of a bug or of the server's own set-up. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  OPTION_INVALID: 400,
  REQUEST_INVALID: 400,
  NOT_FOUND: 404,
  WORKER_UNKNOWN: 404,
  WORKER_EXISTS: 409,
  WORKER_PHASE: 409,
  /** No standard status says that the client left; this one is nginx's. */
  ABORTED: 499,
  DEPENDENCY_MISSING: 501,
  DISPATCH_FAILED: 502,
  ENGINE_RESPONSE: 502,
  ENGINE_UNREACHABLE: 502,
  STREAM_INTERRUPTED: 502,
  CLOSED: 503,
  DRAIN_DEADLINE: 503,
  ROUTE_NO_WORKER: 503,
  WORKER_REMOVED: 503,
}

/** The response that tells a client of an error, as OpenAI's API words it; a 503 says when to ask again. */
export function errorReply(error: unknown, status = statusOf(error)): ErrorReply {
  return {
    status,
    headers: {
      'content-type': 'application/json',
      ...(status === 503 ? { 'retry-after': String(dispatchDefaults.retryAfterSeconds) } : {}),
    },
    body: errorBody(error, status),
  }
}

/** The same as the last event of a stream that has begun. */
export function errorEvent(error: unknown): string {
  return `data: ${errorBody(error, statusOf(error))}\n\n`
}

function errorBody(error: unknown, status: number): string {
  // Whatever else was thrown was not written for clients.
  const { message, code, details } = KvFleetError.is(error) ? error : new KvFleetError('INTERNAL', 'internal error')
  const param = typeof details.field === 'string' && status < 500 ? details.field : null
  const type = status < 500 ? 'invalid_request_error' : 'server_error'
  return JSON.stringify({ error: { message, type, param, code: details.openaiCode ?? code } })
}

/** An error may carry the status that fits it better than its code does. */
export function statusOf(error: unknown): number {
  if (!KvFleetError.is(error)) return 500
  const { httpStatus } = error.details
  return typeof httpStatus === 'number' ? httpStatus : (STATUS[error.code] ?? 500)
}
