import type { HeaderValues } from './dispatcher.js'

/** RFC 9110 7.6.1: these, and what `connection` names, are about one connection only. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * Not passed to engines: the gateway's host and length are not the engine's; a compressed event stream has no room for an
 * error event; the body is at hand, so there is nothing to expect.
 */
const NOT_SENT = new Set([...HOP_BY_HOP, 'host', 'content-length', 'accept-encoding', 'expect'])

export const REQUEST_ID_HEADER = 'x-request-id'
export const WORKER_HEADER = 'x-kvfleet-worker'

/** The client's headers for the engine; `own` wins, whatever the case of its names. */
export function upstreamHeaders(client: HeaderValues, own: Readonly<Record<string, string>>): Record<string, string | string[]> {
  const headers = passedOn(client, NOT_SENT)
  for (const [name, value] of Object.entries(own)) headers[name.toLowerCase()] = value
  return headers
}

/** The engine's headers for the client. */
export function downstreamHeaders(engine: HeaderValues): Record<string, string | string[]> {
  return passedOn(engine, HOP_BY_HOP)
}

function passedOn(headers: HeaderValues, dropped: ReadonlySet<string>): Record<string, string | string[]> {
  const result: Record<string, string | string[]> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined && !dropped.has(name)) result[name] = typeof value === 'string' ? value : [...value]
  }
  const connection = headers['connection']
  if (typeof connection === 'string' && connection !== 'keep-alive' && connection !== 'close') {
    for (const name of connection.split(',')) delete result[name.trim().toLowerCase()]
  }
  return result
}

/** One value of a header that should have one. */
export function singleHeader(headers: HeaderValues, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : value?.[0]
}

export function isEventStream(headers: HeaderValues): boolean {
  return singleHeader(headers, 'content-type')?.startsWith('text/event-stream') ?? false
}
