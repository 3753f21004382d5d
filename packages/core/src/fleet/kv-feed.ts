import { abortable } from '../abortable.js'
import type { Clock } from '../clock.js'
import type { EngineConnection } from '../engine.js'
import type { KvStreamItem } from '../kv-events/kv-event.js'
import type { KvEventSource, KvEventSubscription } from '../kv-events/kv-event-source.js'
import { publish } from '../telemetry.js'
import type { Worker } from '../worker.js'
import type { FleetEventHub } from './fleet-event-hub.js'

/** Where a worker's events come from. */
export interface KvOrigin {
  readonly source: KvEventSource
  readonly connection: EngineConnection
  readonly clock: Clock
}

/**
 * One worker's KV events on their way into the fleet's `kv` event. The subscription is open while somebody reads them; for
 * a reader that comes later it is opened anew, so that it hears what the engine still holds.
 */
export class KvFeed {
  readonly #worker: Worker
  readonly #events: FleetEventHub
  readonly #wanted: () => boolean
  /** Ranks of which an index may hold something. */
  readonly #live = new Set<number>()
  #origin: KvOrigin | undefined
  #subscription: KvEventSubscription | undefined
  /** Opening and closing, one after the other. */
  #work: Promise<void> = Promise.resolve()
  #refreshes = 0
  #closed = false
  /** Ends an opening that is still under way when the feed closes. */
  readonly #ending = new AbortController()

  constructor(worker: Worker, events: FleetEventHub, wanted: () => boolean) {
    this.#worker = worker
    this.#events = events
    this.#wanted = wanted
  }

  /** Rejects when the source cannot open; a subscription that comes after the signal aborted is closed. */
  start({ source, connection, clock }: KvOrigin): Promise<void> {
    const signal = AbortSignal.any([connection.signal, this.#ending.signal])
    const origin = { source, connection: { ...connection, signal }, clock }
    this.#origin = origin
    if (!this.#wanted()) return Promise.resolve()
    const opened = this.#work.then(() => this.#open(origin))
    this.#work = opened.catch(() => {})
    return opened
  }

  /** The readers changed: ends the subscription and, if there is a reader, opens it anew after a reset for those who knew it. */
  refresh(): void {
    const origin = this.#origin
    if (origin === undefined) return
    const turn = ++this.#refreshes
    this.#work = this.#work.then(async () => {
      // Of several changes at once only the last has to be followed.
      if (turn !== this.#refreshes || this.#closed || origin.connection.signal.aborted) return
      await this.#endSubscription()
      if (this.#wanted()) await this.#reopen(origin)
    })
  }

  async #reopen(origin: KvOrigin): Promise<void> {
    try {
      await this.#open(origin)
    } catch (error) {
      this.#voidLiveRanks()
      if (!origin.connection.signal.aborted) this.#problem(error)
    }
  }

  async #open({ source, connection, clock }: KvOrigin): Promise<void> {
    const opening = (async () =>
      source.open(this.#worker, {
        connection,
        clock,
        onItem: item => this.#forward(item),
        onProblem: problem => this.#problem(problem),
      }))()
    try {
      this.#subscription = await abortable(opening, connection.signal)
    } catch (error) {
      opening.then(late => late.close()).catch(() => {})
      throw error
    }
    const ranks = Math.min(this.#subscription.sources, this.#worker.dataParallelRanks)
    for (let rank = 0; rank < ranks; rank++) this.#live.add(rank)
  }

  /** Ends the subscription and tells of every rank that its events are void. */
  async close(): Promise<void> {
    if (this.#subscription === undefined) this.#ending.abort()
    this.#work = this.#work.then(() => this.#endSubscription())
    await this.#work
    this.#closed = true
  }

  async #endSubscription(): Promise<void> {
    const subscription = this.#subscription
    this.#subscription = undefined
    try {
      await subscription?.close()
    } catch (error) {
      this.#problem(error)
    }
    this.#voidLiveRanks()
  }

  #voidLiveRanks(): void {
    const { id: workerId, incarnation } = this.#worker
    for (const rank of [...this.#live].sort((a, b) => a - b)) {
      this.#forward({ type: 'reset', source: { kind: 'worker', workerId, incarnation, rank }, reason: 'closed' })
    }
  }

  #forward(item: KvStreamItem): void {
    if (this.#closed) return
    if (item.source.kind === 'worker') {
      if (item.type === 'reset' && item.reason === 'closed') this.#live.delete(item.source.rank)
      else this.#live.add(item.source.rank)
    }
    this.#events.emit('kv', item)
    publish('kvfleet:kv', () =>
      item.type === 'batch'
        ? { workerId: this.#worker.id, kind: 'batch', events: item.events.length }
        : { workerId: this.#worker.id, kind: 'reset', events: 0, reason: item.reason },
    )
  }

  #problem(problem: unknown): void {
    if (!this.#closed) this.#events.problem(this.#worker, problem)
  }
}
