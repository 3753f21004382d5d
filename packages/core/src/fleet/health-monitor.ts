import type { Clock, ScheduledCall } from '../clock.js'
import type { LeaseOutcome } from '../lease.js'
import type { WorkerHealth } from '../lifecycle.js'
import type { FleetSettings } from './fleet-options.js'
import { type HealthInput, type HealthThresholds, healthOf, INITIAL_HEALTH, nextHealth } from './health-tracker.js'
import type { LedgerLease } from './lease-ledger.js'

export type HealthListener = (from: WorkerHealth, to: WorkerHealth, cause: 'probe' | 'breaker') => void

/** Feeds one worker's health tracker with probes, leases and the breaker's time. */
export class HealthMonitor {
  readonly #clock: Clock
  readonly #thresholds: HealthThresholds
  readonly #openMs: number | undefined
  readonly #onChange: HealthListener
  #state = INITIAL_HEALTH
  #reopening: ScheduledCall | undefined
  #trial: LedgerLease | undefined

  constructor({ clock, probes, breaker }: Pick<FleetSettings, 'clock' | 'probes' | 'breaker'>, onChange: HealthListener) {
    this.#clock = clock
    this.#onChange = onChange
    this.#openMs = breaker?.openMs
    this.#thresholds = {
      probeFailures: probes?.failureThreshold ?? Number.POSITIVE_INFINITY,
      probeSuccesses: probes?.successThreshold ?? 1,
      requestFailures: breaker?.failureThreshold ?? Number.POSITIVE_INFINITY,
    }
  }

  get health(): WorkerHealth {
    return healthOf(this.#state)
  }

  probed(succeeded: boolean): void {
    this.#apply(succeeded ? 'probe-succeeded' : 'probe-failed')
  }

  leaseTaken(lease: LedgerLease): void {
    if (this.#state.breaker !== 'half-open') return
    this.#trial = lease
    this.#apply('trial-taken')
  }

  leaseAnswered(lease: LedgerLease): void {
    if (lease === this.#trial) this.#endTrial()
  }

  leaseEnded(lease: LedgerLease, outcome: LeaseOutcome): void {
    if (this.#openMs === undefined) return
    if (outcome === 'completed') this.#apply('request-completed')
    else if (outcome === 'failed') this.#apply('request-failed')
    if (lease === this.#trial) this.#endTrial()
  }

  stop(): void {
    this.#reopening?.cancel()
    this.#reopening = undefined
  }

  #endTrial(): void {
    this.#trial = undefined
    this.#apply('trial-over')
  }

  #apply(input: HealthInput): void {
    const before = this.#state
    const after = nextHealth(before, input, this.#thresholds)
    if (after === before) return
    this.#state = after
    if (after.breaker !== before.breaker) this.#breakerMoved(after.breaker === 'open')
    const from = healthOf(before)
    const to = healthOf(after)
    if (from !== to) this.#onChange(from, to, input.startsWith('probe') ? 'probe' : 'breaker')
  }

  #breakerMoved(open: boolean): void {
    this.stop()
    if (!open || this.#openMs === undefined) return
    this.#reopening = this.#clock.schedule(this.#openMs, () => this.#apply('open-elapsed'), { background: true })
  }
}
