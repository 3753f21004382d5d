import type { Fleet, Lease } from '@kvfleet/core'
import type { Dispatcher as HttpClient } from 'undici'
import type { Decision } from '../decision.js'
import type { Router } from '../router.js'
import type { RoutingRequest } from '../routing-request.js'
import { Attempt } from './attempt.js'
import { type ConnectionSettings, Connections } from './connections.js'
import type { DispatchRequest } from './dispatcher.js'
import type { Exchange } from './exchange.js'
import { REQUEST_ID_HEADER, upstreamHeaders } from './headers.js'

/** Turns decisions into attempts, and tells each exchange when the fleet ends the lease it runs on. */
export class Sender {
  readonly #router: Router
  readonly #fleet: Fleet
  readonly #connections: Connections
  readonly #running = new Map<Lease, { readonly attempt: Attempt; readonly exchange: Exchange }>()
  readonly #unsubscribe: () => void

  constructor(router: Router, settings: ConnectionSettings) {
    this.#router = router
    this.#fleet = router.fleet
    this.#connections = new Connections(router.fleet, settings)
    // One subscription for all: a listener on every lease's own signal would be the dearest part of a request.
    this.#unsubscribe = this.#fleet.on('lease', ({ lease, state, outcome }) => {
      if (state !== 'ended') return
      const running = this.#running.get(lease)
      this.#running.delete(lease)
      if (outcome === 'aborted') running?.exchange.leaseAborted(running.attempt)
    })
  }

  /**
   * Reserves and sends, in the turn in which the decision was made. Throws what `router.reserve` throws. Nothing is sent on a
   * lease that a listener of the fleet ended as soon as it was taken: the caller finds it `ended`.
   */
  send(exchange: Exchange, { method, path, headers, body }: DispatchRequest, decision: Decision, routing: RoutingRequest): Attempt {
    const { worker, rank } = decision
    const lease = this.#router.reserve(decision, routing)
    const attempt = new Attempt(lease, exchange)
    if (lease.ended) return attempt
    this.#running.set(lease, { attempt, exchange })
    try {
      const connection = this.#fleet.connection(worker)
      const own: Record<string, string> = { ...connection.headers, [REQUEST_ID_HEADER]: exchange.requestId }
      const { rankHeader } = worker.engine
      if (rankHeader !== undefined && worker.dataParallelRanks > 1) own[rankHeader] = String(rank)
      const options = { method: method as HttpClient.HttpMethod, path, headers: upstreamHeaders(headers, own), body: body ?? null }
      this.#connections.send(connection, options, attempt)
    } catch (error) {
      lease.end('failed')
      throw error
    }
    return attempt
  }

  async close(): Promise<void> {
    this.#unsubscribe()
    await this.#connections.close()
  }
}
