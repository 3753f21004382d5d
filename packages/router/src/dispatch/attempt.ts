import { KvFleetError, type Lease } from '@kvfleet/core'
import type { Dispatcher as HttpClient } from 'undici'
import type { HeaderValues } from './dispatcher.js'

/** Told what one worker answers. Nothing comes after `ended`, `failed` or once the attempt was given up. */
export interface AttemptListener {
  head(attempt: Attempt, status: number, headers: HeaderValues): void
  data(attempt: Attempt, chunk: Uint8Array): void
  ended(attempt: Attempt): void
  failed(attempt: Attempt, failure: AttemptFailure): void
}

export interface AttemptFailure {
  /** The system's or the HTTP client's code: ECONNREFUSED, UND_ERR_BODY_TIMEOUT. */
  readonly code: string
  readonly cause: Error
}

/** A kept-alive connection that its engine was closing looks like this: the engine itself may be well. */
const RESETS = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])
const TIMEOUTS = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])
const UNSENDABLE = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED'])

export function isReset({ code }: AttemptFailure): boolean {
  return RESETS.has(code)
}

/** The worker took the request and was silent for too long. */
export function isTimeout({ code }: AttemptFailure): boolean {
  return TIMEOUTS.has(code)
}

/** The HTTP client refuses to send this request to anybody. */
export function isUnsendable({ code }: AttemptFailure): boolean {
  return UNSENDABLE.has(code)
}

/** One request on one worker: a lease and an HTTP exchange that share their fate. */
export class Attempt implements HttpClient.DispatchHandler {
  readonly lease: Lease
  readonly #listener: AttemptListener
  #controller: HttpClient.DispatchController | undefined
  #over = false

  constructor(lease: Lease, listener: AttemptListener) {
    this.lease = lease
    this.#listener = listener
  }

  /** Answered, failed or given up. */
  get over(): boolean {
    return this.#over
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  /** Breaks the connection off, which makes the engine abort its work. No effect once it is over. */
  giveUp(): void {
    if (this.#over) return
    this.#over = true
    this.#controller?.abort(GIVEN_UP())
  }

  onRequestStart(controller: HttpClient.DispatchController): void {
    this.#controller = controller
    if (this.#over) controller.abort(GIVEN_UP())
  }

  onResponseStart(_controller: HttpClient.DispatchController, status: number, headers: HeaderValues): void {
    // 1xx: the response itself is still to come.
    if (!this.#over && status >= 200) this.#listener.head(this, status, headers)
  }

  onResponseData(_controller: HttpClient.DispatchController, chunk: Buffer): void {
    if (!this.#over) this.#listener.data(this, chunk)
  }

  onResponseEnd(): void {
    if (this.#over) return
    this.#over = true
    this.#listener.ended(this)
  }

  onResponseError(_controller: HttpClient.DispatchController, cause: Error & { readonly code?: string }): void {
    if (this.#over) return
    this.#over = true
    this.#listener.failed(this, { code: cause.code ?? cause.name, cause })
  }
}

const GIVEN_UP = () => new KvFleetError('ABORTED', 'the request was given up')
