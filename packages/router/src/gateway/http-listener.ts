import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Clock, errorMessage, KvFleetError } from '@kvfleet/core'
import { gatewayDefaults } from './defaults.js'

export interface ListenOptions {
  /** 0: any free port. */
  readonly port: number
  /** Default: 127.0.0.1. */
  readonly host?: string
}

export interface CloseOptions {
  /** What is in flight after so long is told that the server closes, and broken off. Default: no limit. */
  readonly graceMs?: number
}

/** A node:http server that can be closed without losing what is in flight. */
export class HttpListener {
  readonly #what: string
  readonly #clock: Clock
  readonly #server: Server
  readonly #onGraceOver: () => void
  #url: string | undefined
  #closing: Promise<void> | undefined

  /** `onGraceOver` ends what is still in flight. */
  constructor(what: string, clock: Clock, handle: RequestListener, onGraceOver: () => void = () => {}) {
    this.#what = what
    this.#clock = clock
    this.#onGraceOver = onGraceOver
    this.#server = createServer({ keepAliveTimeout: gatewayDefaults.keepAliveMs }, (request, response) =>
      this.#serve(handle, request, response),
    )
  }

  /** Base URL without a trailing slash; undefined until it listens. */
  get url(): string | undefined {
    return this.#url
  }

  get closing(): boolean {
    return this.#closing !== undefined
  }

  async listen({ host, port }: Required<ListenOptions>): Promise<void> {
    if (this.closing) throw new KvFleetError('CLOSED', `${this.#what}: it was closed`)
    if (this.#url !== undefined) throw new KvFleetError('LISTEN_FAILED', `${this.#what}: it listens already, on ${this.#url}`)
    await new Promise<void>((resolve, reject) => {
      const onError = (cause: Error & { readonly code?: string }) => {
        const why = cause.code === 'EADDRINUSE' ? 'the port is in use' : errorMessage(cause)
        const details = { host, port, reason: cause.code ?? cause.name }
        reject(new KvFleetError('LISTEN_FAILED', `${this.#what}: cannot listen on ${host}:${port}: ${why}`, { details, cause }))
      }
      this.#server.once('error', onError)
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', onError)
        resolve()
      })
    })
    this.#url = `http://${host.includes(':') ? `[${host}]` : host}:${(this.#server.address() as AddressInfo).port}`
  }

  /** Stops accepting and resolves when what is in flight has ended. The shortest grace of several calls holds. */
  close({ graceMs }: CloseOptions = {}): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = new Promise(resolve => {
        this.#server.close(() => resolve())
      })
      this.#server.closeIdleConnections()
    }
    if (graceMs === undefined) return this.#closing
    const grace = this.#clock.schedule(graceMs, () => {
      this.#onGraceOver()
      const lastWords = this.#clock.schedule(gatewayDefaults.lastWordsMs, () => this.#server.closeAllConnections())
      this.#closing?.then(() => lastWords.cancel())
    })
    return this.#closing.then(() => grace.cancel())
  }

  #serve(handle: RequestListener, request: IncomingMessage, response: ServerResponse): void {
    // A client that goes away while something is written; 'close' follows and is what handlers look at.
    response.on('error', () => {})
    response.on('close', () => {
      if (this.closing) this.#server.closeIdleConnections()
    })
    handle(request, response)
  }
}
