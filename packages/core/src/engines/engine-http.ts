import * as v from 'valibot'
import type { EngineConnection } from '../engine.js'
import { errorMessage, KvFleetError, toKvFleetError } from '../errors.js'

/** What an engine is asked; a body makes it a POST. */
export interface EngineRequest {
  readonly path: string
  readonly body?: Readonly<Record<string, unknown>>
  /** Answers undefined instead of failing on these statuses: the engine lacks this route. */
  readonly absentOn?: readonly number[]
}

/**
 * One exchange with an engine, as text. Rejects with ENGINE_UNREACHABLE when nothing answers and ENGINE_RESPONSE on
 * any other status than 2xx; both name path and status and nothing of what was sent.
 */
export async function requestText(connection: EngineConnection, request: EngineRequest & { readonly absentOn?: never }): Promise<string>
export async function requestText(connection: EngineConnection, request: EngineRequest): Promise<string | undefined>
export async function requestText(connection: EngineConnection, { path, body, absentOn }: EngineRequest): Promise<string | undefined> {
  try {
    const response = await connection.fetch(connection.url + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: body === undefined ? connection.headers : { ...connection.headers, 'content-type': 'application/json' },
      signal: connection.signal,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (response.ok) return await response.text()
    await response.body?.cancel()
    if (absentOn?.includes(response.status)) return undefined
    throw new KvFleetError('ENGINE_RESPONSE', `${path}: the engine answered ${response.status}`, {
      details: { path, status: response.status },
      retryable: response.status >= 500 || response.status === 429,
    })
  } catch (error) {
    throw failure(connection, path, error)
  }
}

/** As `requestText`, parsed: a body that is no JSON or does not fit the schema is an ENGINE_RESPONSE. */
export async function requestJson<S extends v.GenericSchema>(
  connection: EngineConnection,
  request: EngineRequest & { readonly absentOn?: never },
  schema: S,
): Promise<v.InferOutput<S>>
export async function requestJson<S extends v.GenericSchema>(
  connection: EngineConnection,
  request: EngineRequest,
  schema: S,
): Promise<v.InferOutput<S> | undefined>
export async function requestJson<S extends v.GenericSchema>(
  connection: EngineConnection,
  request: EngineRequest,
  schema: S,
): Promise<v.InferOutput<S> | undefined> {
  const text = await requestText(connection, request)
  if (text === undefined) return undefined
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw unfit(request.path, 'the body is not JSON')
  }
  const result = v.safeParse(schema, body, { abortEarly: true })
  if (result.success) return result.output
  const issue = result.issues[0]
  throw unfit(request.path, `${v.getDotPath(issue) ?? 'body'}: expected ${issue.expected ?? issue.message}`)
}

/** An answer that arrived and does not fit the engine's protocol. */
export function unfit(path: string, expectation: string): KvFleetError {
  return new KvFleetError('ENGINE_RESPONSE', `${path}: ${expectation}`, { details: { path, expected: expectation } })
}

/** The caller's own reason when it aborted; else unreachable, with the system's error code and no more. */
function failure({ signal }: EngineConnection, path: string, error: unknown): KvFleetError {
  if (signal.aborted) return toKvFleetError(signal.reason, 'ABORTED', path)
  if (KvFleetError.is(error)) return error
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined
  const reason = typeof cause?.code === 'string' ? cause.code : errorMessage(error)
  return new KvFleetError('ENGINE_UNREACHABLE', `${path}: ${reason}`, { details: { path, reason }, cause: error, retryable: true })
}
