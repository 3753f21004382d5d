import { abortable } from '../abortable.js'
import { deadline, type ScheduledCall } from '../clock.js'
import type { EngineAdapter, EngineConnection, EngineLoad } from '../engine.js'
import { KvFleetError } from '../errors.js'
import type { FleetSettings } from './fleet-options.js'

export interface ProbeTarget {
  readonly engine: EngineAdapter
  connection(signal: AbortSignal): EngineConnection
  probed(succeeded: boolean): void
  loaded(load: readonly EngineLoad[]): void
  /** Once per run of failures. */
  loadFailed(error: unknown): void
}

/** Asks one engine for its health, then for its load, again and again; the next wait starts when both have ended. */
export class Prober {
  readonly #target: ProbeTarget
  readonly #settings: FleetSettings
  readonly #stopped = new AbortController()
  #next: ScheduledCall | undefined
  #loadFailing = false

  constructor(target: ProbeTarget, settings: FleetSettings) {
    this.#target = target
    this.#settings = settings
  }

  start(): void {
    const { probes, clock, random } = this.#settings
    if (probes === undefined || this.#stopped.signal.aborted) return
    const waitMs = probes.intervalMs * (1 + probes.jitter * (2 * random.next() - 1))
    const probe = () => {
      this.#probe(probes.timeoutMs).then(() => this.start())
    }
    this.#next = clock.schedule(waitMs, probe, { background: true })
  }

  stop(): void {
    this.#next?.cancel()
    this.#stopped.abort(new KvFleetError('CLOSED', 'probing has ended'))
  }

  async #probe(timeoutMs: number): Promise<void> {
    const { engine } = this.#target
    const healthy = await this.#ask(connection => engine.health(connection), timeoutMs)
    if (this.#stopped.signal.aborted) return
    this.#target.probed(healthy.ok)
    if (!healthy.ok || engine.load === undefined) return
    const load = await this.#ask(async connection => engine.load?.(connection), timeoutMs)
    if (this.#stopped.signal.aborted) return
    if (load.ok) this.#target.loaded(load.value ?? [])
    else if (!this.#loadFailing) this.#target.loadFailed(load.error)
    this.#loadFailing = !load.ok
  }

  async #ask<T>(call: (connection: EngineConnection) => Promise<T>, timeoutMs: number): Promise<Answer<T>> {
    const late = () => new KvFleetError('ENGINE_UNREACHABLE', `probe: no answer within ${timeoutMs} ms`, { retryable: true })
    const guard = deadline(this.#settings.clock, timeoutMs, late, this.#stopped.signal)
    try {
      const connection = this.#target.connection(guard.signal)
      return { ok: true, value: await abortable((async () => call(connection))(), guard.signal) }
    } catch (error) {
      return { ok: false, error }
    } finally {
      guard.release()
    }
  }
}

type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown }
