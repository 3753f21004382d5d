import type { Clock, ScheduledCall } from '../clock.js'
import { KvFleetError } from '../errors.js'
import type { DrainOptions, DrainReport } from './fleet.js'
import type { LeaseLedger } from './lease-ledger.js'

/** Waiting for one worker's ledger to become empty. */
export class Drain {
  readonly #workerId: string
  readonly #ledger: LeaseLedger
  readonly #clock: Clock
  readonly #startedAt: number
  readonly #openAtStart: number
  readonly #onEmpty: () => void
  #emptiedAt: number | undefined
  #deadlineAt = Number.POSITIVE_INFINITY
  #abortAtDeadline = false
  #timer: ScheduledCall | undefined
  #aborted = 0
  #deadlinePassed = false
  /** Resolves when the last lease has ended. */
  readonly emptied: Promise<void>

  constructor(workerId: string, ledger: LeaseLedger, clock: Clock) {
    this.#workerId = workerId
    this.#ledger = ledger
    this.#clock = clock
    this.#startedAt = clock.now()
    this.#openAtStart = ledger.open
    let resolveEmptied = () => {}
    this.emptied = new Promise(resolve => {
      resolveEmptied = resolve
    })
    this.#onEmpty = resolveEmptied
    this.leaseEnded()
  }

  /** Joins another caller's wishes: the earlier deadline holds, and `abort` once asked for stays. */
  tighten({ deadlineMs, onDeadline }: DrainOptions): void {
    if (this.#emptiedAt !== undefined) return
    const deadlineAt = Math.min(this.#deadlineAt, this.#clock.now() + (deadlineMs ?? Number.POSITIVE_INFINITY))
    if (onDeadline === 'abort') this.#abortAtDeadline = true
    if (deadlineAt < this.#deadlineAt) {
      this.#deadlineAt = deadlineAt
      this.#timer?.cancel()
      this.#timer = this.#clock.schedule(deadlineAt - this.#clock.now(), () => this.#onDeadline())
    } else if (this.#deadlinePassed) {
      this.#onDeadline()
    }
  }

  leaseEnded(): void {
    if (this.#ledger.open > 0 || this.#emptiedAt !== undefined) return
    this.#emptiedAt = this.#clock.now()
    this.#timer?.cancel()
    this.#onEmpty()
  }

  abort(reason: KvFleetError): void {
    this.#aborted += this.#ledger.open
    this.#ledger.abortAll(reason)
  }

  report(hookError: KvFleetError | undefined): DrainReport {
    return {
      workerId: this.#workerId,
      waitedMs: (this.#emptiedAt ?? this.#clock.now()) - this.#startedAt,
      finished: this.#openAtStart - this.#aborted,
      aborted: this.#aborted,
      deadlinePassed: this.#deadlinePassed,
      hookError,
    }
  }

  #onDeadline(): void {
    this.#deadlinePassed = true
    if (!this.#abortAtDeadline) return
    const waitedMs = this.#clock.now() - this.#startedAt
    const details = { workerId: this.#workerId, waitedMs }
    this.abort(
      new KvFleetError('DRAIN_DEADLINE', `worker "${this.#workerId}": drained for ${waitedMs} ms, past its deadline`, {
        details,
        retryable: true,
      }),
    )
  }
}
