import type { LeaseOutcome } from '../lease.js'
import type { WorkerHealth, WorkerPhase } from '../lifecycle.js'

/** The settings under which the model holds. Odd join timeout: it never falls on a poll. */
export const modelSettings = {
  joinTimeoutMs: 2_100,
  joinPollMs: 250,
  probes: { intervalMs: 1_000, timeoutMs: 500, failureThreshold: 2, successThreshold: 2, jitter: 0 },
  breaker: { failureThreshold: 2, openMs: 3_300 },
} as const

export interface ModelLease {
  readonly worker: ModelWorker
  readonly tokens: number
  waiting: boolean
  ended: boolean
  abortedWith: 'DRAIN_DEADLINE' | 'WORKER_REMOVED' | undefined
}

export interface ModelDrain {
  readonly startedAt: number
  readonly openAtStart: number
  deadlineAt: number
  abort: boolean
  aborted: number
  deadlinePassed: boolean
  emptiedAt: number | undefined
}

export interface ModelWorker {
  readonly id: string
  readonly incarnation: number
  phase: WorkerPhase
  cordoned: boolean
  joinDeadlineAt: number
  nextPollAt: number
  nextProbeAt: number
  probed: WorkerHealth
  probesAgainst: number
  failedRequests: number
  breaker: 'closed' | 'open' | 'half-open' | 'trial'
  reopensAt: number
  trial: ModelLease | undefined
  drain: ModelDrain | undefined
  removing: boolean
}

const NEVER = Number.POSITIVE_INFINITY

/** The fleet as its documentation tells it, without promises, timers or engines: what the real one is compared with. */
export class FleetModel {
  now: number
  incarnations = 0
  readonly workers = new Map<string, ModelWorker>()
  readonly leases: ModelLease[] = []
  readonly enginesDown = new Set<string>()

  constructor(now: number) {
    this.now = now
  }

  healthOf({ breaker, probed }: ModelWorker): WorkerHealth {
    return breaker === 'open' || breaker === 'trial' ? 'unhealthy' : probed
  }

  openLeases(worker: ModelWorker): ModelLease[] {
    return this.leases.filter(lease => lease.worker === worker && !lease.ended)
  }

  /** Ids in order of joining, by what keeps them from taking a request; `undefined` for nothing. */
  candidates(): { workers: string[]; panic: boolean } {
    const open = [...this.workers.values()].filter(worker => worker.phase === 'active' && !worker.cordoned)
    const well = open.filter(worker => this.healthOf(worker) !== 'unhealthy')
    const panic = well.length === 0 && open.length > 0
    return { workers: (panic ? open : well).map(({ id }) => id), panic }
  }

  /** False when the id is taken. */
  add(id: string): boolean {
    const before = this.workers.get(id)
    if (before?.phase === 'drained') this.#leave(before)
    else if (before !== undefined) return false
    const worker: ModelWorker = {
      id,
      incarnation: ++this.incarnations,
      phase: 'joining',
      cordoned: false,
      joinDeadlineAt: this.now + modelSettings.joinTimeoutMs,
      nextPollAt: this.now,
      nextProbeAt: NEVER,
      probed: 'unknown',
      probesAgainst: 0,
      failedRequests: 0,
      breaker: 'closed',
      reopensAt: NEVER,
      trial: undefined,
      drain: undefined,
      removing: false,
    }
    this.workers.set(id, worker)
    this.#poll(worker)
    return true
  }

  lease(worker: ModelWorker, tokens: number): ModelLease | undefined {
    if (worker.phase !== 'active') return undefined
    const lease: ModelLease = { worker, tokens, waiting: true, ended: false, abortedWith: undefined }
    this.leases.push(lease)
    if (worker.breaker === 'half-open') {
      worker.breaker = 'trial'
      worker.trial = lease
    }
    return lease
  }

  firstToken(lease: ModelLease): void {
    if (lease.ended || !lease.waiting) return
    lease.waiting = false
    this.#endTrial(lease)
  }

  end(lease: ModelLease, outcome: LeaseOutcome): void {
    if (lease.ended) return
    lease.ended = true
    const { worker } = lease
    if (outcome === 'completed') {
      worker.failedRequests = 0
      worker.breaker = 'closed'
      worker.reopensAt = NEVER
    } else if (outcome === 'failed') {
      worker.failedRequests++
      const opens = worker.breaker !== 'closed' || worker.failedRequests >= modelSettings.breaker.failureThreshold
      if (opens && worker.breaker !== 'open') worker.reopensAt = this.now + modelSettings.breaker.openMs
      if (opens) worker.breaker = 'open'
    }
    this.#endTrial(lease)
    this.#settleDrain(worker)
  }

  drain(worker: ModelWorker, deadlineMs: number | undefined, abort: boolean): void {
    if (worker.phase === 'joining') return this.#leave(worker)
    if (worker.phase === 'active') {
      worker.phase = 'draining'
      worker.drain = {
        startedAt: this.now,
        openAtStart: this.openLeases(worker).length,
        deadlineAt: NEVER,
        abort: false,
        aborted: 0,
        deadlinePassed: false,
        emptiedAt: undefined,
      }
      this.#settleDrain(worker)
    }
    const { drain } = worker
    if (drain === undefined || drain.emptiedAt !== undefined) return
    if (abort) drain.abort = true
    drain.deadlineAt = Math.min(drain.deadlineAt, this.now + (deadlineMs ?? NEVER))
    if (drain.deadlineAt <= this.now) this.#passDeadline(worker, drain)
  }

  remove(worker: ModelWorker, force: boolean): void {
    worker.removing = true
    if (worker.phase === 'joining') return this.#leave(worker)
    this.drain(worker, undefined, false)
    if (force && worker.drain !== undefined) this.#abort(worker, worker.drain, 'WORKER_REMOVED')
    this.#settleDrain(worker)
  }

  advance(byMs: number): void {
    const until = this.now + byMs
    for (;;) {
      const next = [...this.workers.values()].flatMap(worker => this.#timersOf(worker)).sort((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > until) break
      this.now = next.at
      next.run()
    }
    this.now = until
  }

  #timersOf(worker: ModelWorker): { at: number; run: () => void }[] {
    const { phase, drain } = worker
    if (phase === 'joining') {
      return [
        { at: worker.joinDeadlineAt, run: () => this.#leave(worker) },
        { at: worker.nextPollAt, run: () => this.#poll(worker) },
      ]
    }
    if (phase !== 'active' && phase !== 'draining') return []
    const timers = [
      { at: worker.nextProbeAt, run: () => this.#probe(worker) },
      {
        at: worker.reopensAt,
        run: () => {
          worker.breaker = 'half-open'
          worker.reopensAt = NEVER
        },
      },
    ]
    if (drain !== undefined && !drain.deadlinePassed) timers.push({ at: drain.deadlineAt, run: () => this.#passDeadline(worker, drain) })
    return timers
  }

  #poll(worker: ModelWorker): void {
    worker.nextPollAt = this.now + modelSettings.joinPollMs
    if (this.enginesDown.has(worker.id)) return
    worker.phase = 'active'
    worker.probed = 'healthy'
    worker.nextProbeAt = this.now + modelSettings.probes.intervalMs
  }

  #probe(worker: ModelWorker): void {
    const result = this.enginesDown.has(worker.id) ? 'unhealthy' : 'healthy'
    worker.nextProbeAt = this.now + modelSettings.probes.intervalMs
    worker.probesAgainst = result === worker.probed ? 0 : worker.probesAgainst + 1
    if (worker.probesAgainst < 2) return
    worker.probed = result
    worker.probesAgainst = 0
  }

  #endTrial(lease: ModelLease): void {
    const { worker } = lease
    if (worker.trial !== lease) return
    worker.trial = undefined
    if (worker.breaker === 'trial') worker.breaker = 'half-open'
  }

  #passDeadline(worker: ModelWorker, drain: ModelDrain): void {
    drain.deadlinePassed = true
    if (drain.abort) this.#abort(worker, drain, 'DRAIN_DEADLINE')
  }

  #abort(worker: ModelWorker, drain: ModelDrain, code: 'DRAIN_DEADLINE' | 'WORKER_REMOVED'): void {
    for (const lease of this.openLeases(worker)) {
      lease.abortedWith = code
      drain.aborted++
      this.end(lease, 'aborted')
    }
  }

  #settleDrain(worker: ModelWorker): void {
    const { drain } = worker
    if (drain === undefined || this.openLeases(worker).length > 0) return
    drain.emptiedAt ??= this.now
    worker.phase = 'drained'
    if (worker.removing) this.#leave(worker)
  }

  #leave(worker: ModelWorker): void {
    worker.phase = 'removed'
    this.workers.delete(worker.id)
  }
}
