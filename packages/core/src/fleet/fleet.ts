import type { Clock } from '../clock.js'
import type { EngineConnection, Fetch } from '../engine.js'
import type { KvFleetError } from '../errors.js'
import type { KvStreamItem } from '../kv-events/kv-event.js'
import type { KvEventSource } from '../kv-events/kv-event-source.js'
import type { Lease, LeaseRequest } from '../lease.js'
import type { WorkerHealth, WorkerPhase } from '../lifecycle.js'
import type { Random } from '../random.js'
import type { Worker, WorkerRole, WorkerSpec } from '../worker.js'

export interface FleetOptions {
  /** Where KV events come from. Left out: none, and policies say so in their reasons. */
  readonly kvEvents?: KvEventSource
  readonly clock?: Clock
  readonly random?: Random
  /** Used for probes and by engine adapters. Default: the global fetch. */
  readonly fetch?: Fetch
  /** How long `add` waits for a worker to become ready. */
  readonly joinTimeoutMs?: number
  readonly probes?: ProbeOptions | false
  readonly breaker?: BreakerOptions | false
  readonly hooks?: FleetHooks
  /** Each hook is aborted and counts as failed after this long. */
  readonly hookTimeoutMs?: number
}

export interface ProbeOptions {
  readonly intervalMs?: number
  readonly timeoutMs?: number
  /** Consecutive failures that make a worker unhealthy. */
  readonly failureThreshold?: number
  /** Consecutive successes that make it healthy again. */
  readonly successThreshold?: number
  /** Share of the interval by which each wait is shortened or lengthened at random, 0 to 1. */
  readonly jitter?: number
}

export interface BreakerOptions {
  /** Consecutive failed requests that make a worker unhealthy. */
  readonly failureThreshold?: number
  /** How long it then takes no requests before the next one may try. */
  readonly openMs?: number
}

export interface HookContext {
  /** Aborts at the hook's deadline, when the worker is removed and when the fleet closes. */
  readonly signal: AbortSignal
}

export interface FleetHooks {
  /** Between reachable and active: warm a cache, run a first request. A failure fails the join. */
  readonly beforeReady?: (worker: Worker, context: HookContext) => Promise<void> | void
  /** Between the last lease and drained: flush what only this machine has. A failure is reported, the drain ends all the same. */
  readonly afterDrained?: (worker: Worker, context: HookContext) => Promise<void> | void
}

export interface DrainOptions {
  /** Default: no deadline. */
  readonly deadlineMs?: number
  /** `wait`: resolve only when the last lease has ended, deadline or not (the report says it was passed). `abort`: end what is left. Default: `wait`. */
  readonly onDeadline?: 'wait' | 'abort'
  /** Stops waiting: rejects with ABORTED. The worker keeps draining. */
  readonly signal?: AbortSignal
}

export interface DrainReport {
  readonly workerId: string
  /** From the drain's start to the end of the last lease; the hook's time is not in it. */
  readonly waitedMs: number
  /** Leases that were open at the start and ended by themselves. */
  readonly finished: number
  /** Leases that the deadline or a forced removal ended. */
  readonly aborted: number
  readonly deadlinePassed: boolean
  /** What an afterDrained hook failed with. */
  readonly hookError: KvFleetError | undefined
}

export interface RemoveOptions extends DrainOptions {
  /** Skip the drain: abort every lease and go. Default: false. */
  readonly force?: boolean
}

export interface CandidateQuery {
  readonly role?: WorkerRole
  readonly model?: string
}

export interface ExcludedWorker {
  readonly worker: Worker
  /** `draining`, `cordoned`, `unhealthy`, …, `role` or `model`. */
  readonly reason: string
}

export interface Candidates {
  readonly workers: readonly Worker[]
  readonly excluded: readonly ExcludedWorker[]
  /** Every worker was excluded for its health alone, so all of those are offered: health never empties a pool. */
  readonly panic: boolean
}

export interface ListenOptions {
  /** Hears only what flows for others: for `kv`, no subscription is opened or kept open on its behalf. Default: false. */
  readonly passive?: boolean
}

export interface FleetEvents {
  phase: (change: { worker: Worker; from: WorkerPhase | undefined; to: WorkerPhase }) => void
  health: (change: { worker: Worker; from: WorkerHealth; to: WorkerHealth; cause: 'probe' | 'breaker' }) => void
  cordon: (change: { worker: Worker; cordoned: boolean }) => void
  lease: (change: { lease: Lease; state: 'taken' | 'first-token' | 'ended'; outcome?: string }) => void
  /** A listener that comes after a worker hears from the start what the engine still holds; others hear a reset first. */
  kv: (item: KvStreamItem) => void
  /** What went wrong in the background: a probe's load report, an event frame. Never thrown. */
  problem: (problem: { worker: Worker | undefined; error: Error }) => void
}

/**
 * The set of workers and everything in flight on them. Calls that change one worker are serialised;
 * repeating a call that is under way or done gives the same result.
 */
export interface Fleet {
  readonly clock: Clock
  readonly random: Random
  readonly fetch: Fetch
  /** The KvEventSource's name; undefined when there is none. */
  readonly kvEvents: string | undefined
  /**
   * Resolves when the worker is active. Rejects with WORKER_EXISTS, OPTION_INVALID, WORKER_JOIN_TIMEOUT,
   * WORKER_HOOK_FAILED, WORKER_REMOVED, ABORTED or CLOSED; then no trace of it is left.
   */
  add(spec: WorkerSpec, options?: { readonly signal?: AbortSignal }): Promise<Worker>
  /**
   * Drains, then forgets the worker and frees its id. Resolves with the drain's report. A caller's signal ends its
   * waiting, not the removal.
   */
  remove(id: string, options?: RemoveOptions): Promise<DrainReport>
  cordon(id: string): Worker
  uncordon(id: string): Worker
  /**
   * Takes the worker out of routing at once and resolves when nothing is in flight on it and the hook has run:
   * the machine may go. A second call joins the first; the earlier deadline and `abort` win. A worker that is still
   * joining is removed instead: its `add` rejects with WORKER_REMOVED. Forced removal resolves a drain, `close` rejects it.
   */
  drain(id: string, options?: DrainOptions): Promise<DrainReport>
  get(id: string): Worker | undefined
  /** In order of joining; joining and drained workers included. */
  list(): readonly Worker[]
  /** Who may take a new request now. Synchronous and pure. */
  candidates(query?: CandidateQuery): Candidates
  /** Reserves a place. Throws WORKER_PHASE unless the worker is active. */
  lease(worker: Worker, request: LeaseRequest): Lease
  /**
   * How to reach the worker's engine, its `upstreamHeaders` included: for engine adapters and dispatch, never for logs. Works
   * for a worker of any phase; without a signal it aborts when the worker is removed. Throws WORKER_UNKNOWN for another fleet's worker.
   */
  connection(worker: Worker, signal?: AbortSignal): EngineConnection
  /** Returns the function that ends it. */
  on<E extends keyof FleetEvents>(event: E, listener: FleetEvents[E], options?: ListenOptions): () => void
  /** Ends every lease, probe, subscription and timer. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
