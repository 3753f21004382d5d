import type { KvFleetError } from '@kvfleet/core'
import type { Decision } from '../decision.js'
import type { Router } from '../router.js'

export interface DispatcherOptions {
  readonly router: Router
  /** Further workers that are tried when one fails before the first byte of its response. */
  readonly retries?: number
  readonly connectTimeoutMs?: number
  /** From the request to the head of the response, which for a reply that is not streamed is its whole duration. */
  readonly headersTimeoutMs?: number
  /**
   * Longest silence inside a response, and longest time for which the client may leave a paused response unread: after that
   * the engine's work is aborted, so that a forgotten response does not hold its lease.
   */
  readonly bodyTimeoutMs?: number
}

export type HeaderValues = Readonly<Record<string, string | readonly string[] | undefined>>

/** An HTTP request as a client sent it. */
export interface DispatchRequest {
  readonly method: string
  /** With its query, from the root: `/v1/chat/completions`. */
  readonly path: string
  /** Names in lower case. What belongs to one connection only is not passed on. */
  readonly headers: HeaderValues
  /** Reaches the engine byte for byte. */
  readonly body?: Uint8Array | string
  /** The client gave up: the engine's work is aborted at once. */
  readonly signal?: AbortSignal
}

export interface ResponseHead {
  readonly status: number
  /** Names in lower case; `x-request-id` always, `x-kvfleet-worker` when a worker answered. */
  readonly headers: Readonly<Record<string, string | string[]>>
  /** undefined for what the fleet answers by itself (the list of models). */
  readonly decision: Decision | undefined
}

export interface DispatchResponse extends ResponseHead {
  /**
   * The engine's bytes as they come. An event stream that breaks off ends with an event that holds the error; any other
   * response then fails with STREAM_INTERRUPTED, or with the fleet's reason. Cancelling it aborts the engine's work. While more
   * than 256 KiB wait for the reader the engine is paused; when that lasts `bodyTimeoutMs` the response breaks off with ABORTED.
   */
  readonly body: ReadableStream<Uint8Array>
}

/** Where a response goes. Calls come in order: `start`, any number of `write`, then `end` or `fail`; or `fail` alone. */
export interface ResponseSink {
  start(head: ResponseHead): void
  /** False asks for a pause, until `Relay.resume()`. */
  write(chunk: Uint8Array): boolean
  end(): void
  /** Nothing more comes. After `start` only for responses that have no room for an error of their own. */
  fail(error: KvFleetError): void
}

/** A request under way. */
export interface Relay {
  readonly requestId: string
  /** The sink has room again. */
  resume(): void
  /** The client left: the engine's work is aborted, the sink is not called any more. */
  cancel(): void
  /** The server wants to end: the client is told with this error. */
  abort(error: KvFleetError): void
}

/** Carries decisions out: sends, tries elsewhere, relays. */
export interface Dispatcher extends AsyncDisposable {
  readonly router: Router
  /**
   * Resolves at the head of the response. Rejects with REQUEST_INVALID, NOT_FOUND, ROUTE_NO_WORKER, DISPATCH_FAILED, ABORTED,
   * or the reason for which the fleet ended the request; `errorReply()` turns these into responses.
   */
  dispatch(request: DispatchRequest): Promise<DispatchResponse>
  /** The same into a sink: for servers, which save the stream in between. Never throws. */
  relay(request: DispatchRequest, sink: ResponseSink): Relay
  /** Waits for nothing: what is under way is aborted with CLOSED. Router and fleet stay open. Idempotent. */
  close(): Promise<void>
}
