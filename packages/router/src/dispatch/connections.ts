import type { EngineConnection, Fleet, Worker } from '@kvfleet/core'
import { type Dispatcher as HttpClient, Pool } from 'undici'

export interface ConnectionSettings {
  readonly connectTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly bodyTimeoutMs: number
  readonly keepAliveMs: number
}

interface EnginePool {
  readonly pool: Pool
  /** Path of the engine's base URL; empty for the root. */
  readonly basePath: string
}

/**
 * Kept-alive connections to the workers' engines, one pool a base URL. A connection carries one request at a time: behind
 * a long answer, another request would wait for nothing. A pool goes when the last worker with its URL has left.
 */
export class Connections {
  readonly #fleet: Fleet
  readonly #settings: ConnectionSettings
  readonly #pools = new Map<string, EnginePool>()
  readonly #unsubscribe: () => void

  constructor(fleet: Fleet, settings: ConnectionSettings) {
    this.#fleet = fleet
    this.#settings = settings
    this.#unsubscribe = fleet.on('phase', ({ worker, to }) => {
      if (to === 'removed') this.#release(worker)
    })
  }

  /** `options.path` is what the client asked for; the engine's base path goes before it. */
  send({ url }: EngineConnection, options: Omit<HttpClient.DispatchOptions, 'origin'>, handler: HttpClient.DispatchHandler): void {
    const { pool, basePath } = this.#pools.get(url) ?? this.#open(url)
    pool.dispatch(basePath === '' ? options : { ...options, path: basePath + options.path }, handler)
  }

  async close(): Promise<void> {
    this.#unsubscribe()
    const pools = [...this.#pools.values()]
    this.#pools.clear()
    await Promise.all(pools.map(({ pool }) => pool.destroy()))
  }

  #open(url: string): EnginePool {
    const { connectTimeoutMs, headersTimeoutMs, bodyTimeoutMs, keepAliveMs } = this.#settings
    const { origin, pathname } = new URL(url)
    const pool = new Pool(origin, {
      pipelining: 1,
      connect: { timeout: connectTimeoutMs },
      headersTimeout: headersTimeoutMs,
      bodyTimeout: bodyTimeoutMs,
      keepAliveTimeout: keepAliveMs,
    })
    const opened = { pool, basePath: pathname === '/' ? '' : pathname }
    this.#pools.set(url, opened)
    return opened
  }

  #release({ url }: Worker): void {
    const left = this.#pools.get(url)
    if (left === undefined || this.#fleet.list().some(other => other.url === url)) return
    this.#pools.delete(url)
    // Waits for sockets of requests that the fleet has just given up.
    left.pool.close().catch(() => {})
  }
}
