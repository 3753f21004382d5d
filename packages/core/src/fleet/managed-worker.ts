import { fleetDefaults } from '../defaults.js'
import type { EngineConnection } from '../engine.js'
import { KvFleetError, toKvFleetError } from '../errors.js'
import type { Lease, LeaseOutcome, LeaseRequest } from '../lease.js'
import { canMove, type WorkerPhase } from '../lifecycle.js'
import { publish } from '../telemetry.js'
import { applyDescription } from './apply-description.js'
import { Drain } from './drain.js'
import type { DrainOptions, DrainReport, RemoveOptions } from './fleet.js'
import type { FleetEventHub } from './fleet-event-hub.js'
import type { FleetSettings } from './fleet-options.js'
import { HealthMonitor } from './health-monitor.js'
import { runHook } from './hooks.js'
import { join } from './join.js'
import { KvFeed } from './kv-feed.js'
import { LeaseLedger, type LedgerLease, type LedgerObserver } from './lease-ledger.js'
import { Prober } from './prober.js'
import type { ParsedWorkerSpec } from './worker-spec.js'
import { type WorkerRecord, WorkerView } from './worker-view.js'

/** What a worker shares with the others of its fleet. */
export interface FleetContext {
  readonly settings: FleetSettings
  readonly events: FleetEventHub
  /** Somebody reads KV events. */
  readonly kvWanted: () => boolean
  /** The worker has nothing left and its id is free. */
  readonly onRemoved: (worker: ManagedWorker) => void
}

/**
 * One worker's life. The phase has its one writer here; a join, a drain and a removal exist at most once, and further
 * calls join the one under way.
 */
export class ManagedWorker implements LedgerObserver {
  readonly view: WorkerView
  readonly #record: WorkerRecord
  readonly #spec: ParsedWorkerSpec
  readonly #context: FleetContext
  readonly #ledger: LeaseLedger
  readonly #monitor: HealthMonitor
  readonly #prober: Prober
  readonly #kvFeed: KvFeed
  /** Aborts, with the reason, when the worker has to go: the join, the hooks and the default connection hang on it. */
  readonly #lifetime = new AbortController()
  #joined: Promise<void> | undefined
  #drain: Drain | undefined
  #drained: Promise<DrainReport> | undefined
  #removed: Promise<DrainReport> | undefined

  constructor(spec: ParsedWorkerSpec, incarnation: number, context: FleetContext) {
    const { events, settings } = context
    this.#spec = spec
    this.#context = context
    this.#record = {
      models: spec.models ?? [],
      blockSize: spec.blockSize ?? fleetDefaults.blockSize,
      dataParallelRanks: spec.dataParallelRanks ?? fleetDefaults.dataParallelRanks,
      capacity: spec.capacity,
      phase: 'joining',
      health: 'unknown',
      cordoned: false,
      readyAt: 0,
      load: [],
    }
    this.#ledger = new LeaseLedger(this)
    this.view = new WorkerView({ ...spec, incarnation }, this.#record, this.#ledger)
    this.#kvFeed = new KvFeed(this.view, events, context.kvWanted)
    this.#monitor = new HealthMonitor(settings, (from, to, cause) => {
      this.#record.health = to
      events.emit('health', { worker: this.view, from, to, cause })
      publish('kvfleet:worker', () => ({ workerId: spec.id, field: 'health', from, to }))
    })
    this.#prober = new Prober(
      {
        engine: spec.engine,
        connection: signal => this.connection(signal),
        probed: succeeded => this.#monitor.probed(succeeded),
        loaded: load => {
          this.#record.load = load
        },
        loadFailed: error => events.problem(this.view, error),
      },
      settings,
    )
  }

  get phase(): WorkerPhase {
    return this.#record.phase
  }

  connection(signal: AbortSignal = this.#lifetime.signal): EngineConnection {
    const { clock, fetch } = this.#context.settings
    return { url: this.#spec.url, headers: this.#spec.upstreamHeaders, fetch, clock, signal }
  }

  /** Call once. Resolves when active; a failure leaves nothing behind. */
  join(): Promise<void> {
    this.#joined = this.#join()
    this.#announce(undefined, 'joining')
    return this.#joined
  }

  /** The join then rejects with `reason`. No effect in any other phase. */
  cancelJoin(reason: KvFleetError): void {
    if (this.phase === 'joining') this.#lifetime.abort(reason)
  }

  /** A reader of KV events came, or the last one left. */
  refreshKvFeed(): void {
    this.#kvFeed.refresh()
  }

  setCordoned(cordoned: boolean): void {
    if (this.#record.cordoned === cordoned) return
    this.#record.cordoned = cordoned
    this.#context.events.emit('cordon', { worker: this.view, cordoned })
    publish('kvfleet:worker', () => ({ workerId: this.view.id, field: 'cordoned', from: String(!cordoned), to: String(cordoned) }))
  }

  lease(id: number, request: LeaseRequest): Lease {
    const { phase } = this
    if (phase === 'active') return this.#ledger.take(id, this.view, request, this.#context.settings.clock.now())
    const details = { workerId: this.view.id, phase }
    throw new KvFleetError('WORKER_PHASE', `worker "${this.view.id}": expected phase active, is ${phase}`, { details, retryable: true })
  }

  /** Of a worker that is still joining: cancels the join, and the worker is gone. */
  drain(options: DrainOptions): Promise<DrainReport> {
    if (this.phase === 'joining') return this.#abandonJoin()
    const drained = this.#drained ?? this.#beginDrain()
    this.#drain?.tighten(options)
    return drained
  }

  remove(options: RemoveOptions): Promise<DrainReport> {
    if (this.phase === 'joining') return this.#abandonJoin()
    const drained = this.drain(options)
    if (options.force) this.#endNow(this.#goneError())
    if (this.#removed === undefined) {
      this.#removed = drained.then(report => {
        this.leave()
        return report
      })
      this.#removed.catch(() => {})
    }
    return this.#removed
  }

  /** Ends everything with `reason`; resolves when nothing is left. */
  async close(reason: KvFleetError): Promise<void> {
    this.cancelJoin(reason)
    if (this.phase === 'joining') return this.#joined?.catch(() => {})
    if (this.phase === 'removed') return
    const drained = this.drain({})
    this.#endNow(reason)
    await drained.catch(() => {})
    this.leave()
  }

  /** The last step of a worker that has been drained, or has nothing left to end. */
  leave(): void {
    if (this.phase === 'removed') return
    this.#lifetime.abort(this.#goneError())
    this.#context.onRemoved(this)
    this.#move('removed')
  }

  taken(lease: LedgerLease): void {
    this.#monitor.leaseTaken(lease)
    this.#tell(lease, 'taken')
  }

  firstToken(lease: LedgerLease): void {
    this.#monitor.leaseAnswered(lease)
    this.#tell(lease, 'first-token')
  }

  ended(lease: LedgerLease, outcome: LeaseOutcome): void {
    this.#monitor.leaseEnded(lease, outcome)
    this.#tell(lease, 'ended', outcome)
    this.#drain?.leaseEnded()
  }

  async #join(): Promise<void> {
    const { settings, events } = this.#context
    const { signal } = this.#lifetime
    try {
      await join({
        worker: this.view,
        settings,
        signal,
        giveUp: error => this.#lifetime.abort(error),
        connection: guarded => this.connection(guarded),
        described: description => {
          for (const error of applyDescription(this.#record, this.#spec, description)) events.problem(this.view, error)
        },
        openKvEvents: async () => {
          const { kvEvents: source, clock } = settings
          if (source !== undefined) await this.#kvFeed.start({ source, connection: this.connection(), clock })
        },
        readLoad: async connection => {
          this.#record.load = (await this.#spec.engine.load?.(connection)) ?? []
        },
        problem: error => events.problem(this.view, error),
      })
      signal.throwIfAborted()
      this.#record.readyAt = settings.clock.now()
      if (settings.probes !== undefined) this.#monitor.probed(true)
      // A listener of `health` may have removed the worker or closed the fleet.
      signal.throwIfAborted()
    } catch (error) {
      const reason = toKvFleetError(signal.aborted ? signal.reason : error, 'INTERNAL', `worker "${this.view.id}": join`)
      this.#lifetime.abort(reason)
      await this.#release()
      this.leave()
      throw reason
    }
    this.#move('active')
    this.#prober.start()
  }

  #abandonJoin(): Promise<DrainReport> {
    this.cancelJoin(this.#goneError())
    const report = new Drain(this.view.id, this.#ledger, this.#context.settings.clock).report(undefined)
    return (this.#joined ?? Promise.resolve()).then(
      () => report,
      () => report,
    )
  }

  #beginDrain(): Promise<DrainReport> {
    const drain = new Drain(this.view.id, this.#ledger, this.#context.settings.clock)
    this.#drain = drain
    // Before the phase is announced: a listener may call drain or remove itself.
    this.#drained = this.#finishDrain(drain)
    this.#drained.catch(() => {})
    this.#move('draining')
    return this.#drained
  }

  async #finishDrain(drain: Drain): Promise<DrainReport> {
    await drain.emptied
    const hookError = await this.#afterDrained()
    await this.#release()
    const { signal } = this.#lifetime
    if (KvFleetError.is(signal.reason, 'CLOSED')) throw signal.reason
    const report = drain.report(hookError)
    const { workerId, waitedMs, finished, aborted } = report
    publish('kvfleet:drain', () => ({ workerId, waitedMs, finished, aborted }))
    if (!signal.aborted) this.#move('drained')
    return report
  }

  async #afterDrained(): Promise<KvFleetError | undefined> {
    const { settings, events } = this.#context
    const parent = this.#lifetime.signal
    if (parent.aborted) return undefined
    try {
      await runHook(settings.hooks, 'afterDrained', this.view, { clock: settings.clock, timeoutMs: settings.hookTimeoutMs, parent })
      return undefined
    } catch (error) {
      const failure = toKvFleetError(error, 'WORKER_HOOK_FAILED', `worker "${this.view.id}": afterDrained`)
      events.problem(this.view, failure)
      return failure
    }
  }

  #endNow(reason: KvFleetError): void {
    this.#lifetime.abort(reason)
    this.#drain?.abort(reason)
  }

  async #release(): Promise<void> {
    this.#prober.stop()
    this.#monitor.stop()
    await this.#kvFeed.close()
  }

  #goneError(): KvFleetError {
    return new KvFleetError('WORKER_REMOVED', `worker "${this.view.id}" was removed`, {
      details: { workerId: this.view.id },
      retryable: true,
    })
  }

  #tell(lease: LedgerLease, state: 'taken' | 'first-token' | 'ended', outcome?: LeaseOutcome): void {
    const { events, settings } = this.#context
    if (events.has('lease')) events.emit('lease', outcome === undefined ? { lease, state } : { lease, state, outcome })
    publish('kvfleet:lease', () => {
      const { requestId } = lease.request
      const elapsedMs = settings.clock.now() - lease.takenAt
      return { workerId: this.view.id, requestId, state, elapsedMs, ...(outcome === undefined ? {} : { outcome }) }
    })
  }

  #move(to: WorkerPhase): void {
    const from = this.phase
    if (!canMove(from, to)) throw new KvFleetError('INTERNAL', `worker "${this.view.id}": cannot move from ${from} to ${to}`)
    this.#record.phase = to
    this.#announce(from, to)
  }

  #announce(from: WorkerPhase | undefined, to: WorkerPhase): void {
    this.#context.events.emit('phase', { worker: this.view, from, to })
    publish('kvfleet:worker', () => ({ workerId: this.view.id, field: 'phase', from: from ?? 'none', to }))
  }
}
