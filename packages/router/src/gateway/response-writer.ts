import type { ServerResponse } from 'node:http'
import type { KvFleetError } from '@kvfleet/core'
import type { ResponseHead, ResponseSink } from '../dispatch/dispatcher.js'
import { errorReply } from '../dispatch/error-reply.js'
import { REQUEST_ID_HEADER } from '../dispatch/headers.js'

/** Writes a relayed response as it comes. */
export class ResponseWriter implements ResponseSink {
  readonly #response: ServerResponse
  #wrote = false
  /** Goes with an error that is answered before a worker was. */
  requestId: string | undefined

  constructor(response: ServerResponse) {
    this.#response = response
  }

  start({ status, headers }: ResponseHead): void {
    const response = this.#response
    response.writeHead(status, headers)
    // A head whose body comes later goes out alone; usually both come in one turn and share a packet.
    queueMicrotask(() => {
      if (!this.#wrote && !response.destroyed) response.flushHeaders()
    })
  }

  write(chunk: Uint8Array): boolean {
    this.#wrote = true
    return this.#response.write(chunk)
  }

  end(): void {
    this.#wrote = true
    this.#response.end()
  }

  fail(error: KvFleetError): void {
    this.#wrote = true
    if (this.#response.headersSent) this.#response.destroy()
    else sendError(this.#response, error, this.requestId)
  }
}

export function sendError(response: ServerResponse, error: unknown, requestId?: string): void {
  if (response.destroyed || response.headersSent) return
  const { status, headers, body } = errorReply(error)
  response.writeHead(status, requestId === undefined ? headers : { ...headers, [REQUEST_ID_HEADER]: requestId }).end(body)
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
