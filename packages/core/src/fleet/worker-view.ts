import type { EngineAdapter, EngineLoad } from '../engine.js'
import type { EngineProfile } from '../engine-profile.js'
import type { WorkerHealth, WorkerPhase } from '../lifecycle.js'
import type { InFlight, Topology, Worker, WorkerCapacity, WorkerRole } from '../worker.js'
import type { LeaseLedger } from './lease-ledger.js'

/** What changes about a worker; only its ManagedWorker writes it. */
export interface WorkerRecord {
  models: readonly string[]
  blockSize: number
  dataParallelRanks: number
  capacity: WorkerCapacity
  phase: WorkerPhase
  health: WorkerHealth
  cordoned: boolean
  readyAt: number
  load: readonly EngineLoad[]
}

export type FixedWorkerFields = Pick<Worker, 'id' | 'incarnation' | 'url' | 'engine' | 'role' | 'topology' | 'labels' | 'profile'>

/** The Worker that hosts and policies hold: reads the record, holds neither headers nor anything that changes it. */
export class WorkerView implements Worker {
  readonly id: string
  readonly incarnation: number
  readonly url: string
  readonly engine: EngineAdapter
  readonly role: WorkerRole
  readonly topology: Topology
  readonly labels: Readonly<Record<string, string>>
  readonly profile: EngineProfile | undefined
  readonly #record: WorkerRecord
  readonly #ledger: LeaseLedger

  constructor(fixed: FixedWorkerFields, record: WorkerRecord, ledger: LeaseLedger) {
    this.id = fixed.id
    this.incarnation = fixed.incarnation
    this.url = fixed.url
    this.engine = fixed.engine
    this.role = fixed.role
    this.topology = fixed.topology
    this.labels = fixed.labels
    this.profile = fixed.profile
    this.#record = record
    this.#ledger = ledger
  }

  get models(): readonly string[] {
    return this.#record.models
  }

  get blockSize(): number {
    return this.#record.blockSize
  }

  get dataParallelRanks(): number {
    return this.#record.dataParallelRanks
  }

  get capacity(): WorkerCapacity {
    return this.#record.capacity
  }

  get phase(): WorkerPhase {
    return this.#record.phase
  }

  get health(): WorkerHealth {
    return this.#record.health
  }

  get cordoned(): boolean {
    return this.#record.cordoned
  }

  get readyAt(): number {
    return this.#record.readyAt
  }

  get leases(): number {
    return this.#ledger.open
  }

  inFlight(rank: number): InFlight {
    this.#checkRank(rank)
    return this.#ledger.inFlight(rank)
  }

  load(rank: number): EngineLoad | undefined {
    this.#checkRank(rank)
    return this.#record.load[rank]
  }

  toJSON() {
    const { id, url, role, phase, health, cordoned, models, readyAt, leases, incarnation, labels, topology } = this
    return { id, url, role, phase, health, cordoned, models, readyAt, leases, incarnation, labels, topology }
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    return this.toJSON()
  }

  #checkRank(rank: number): void {
    if (Number.isInteger(rank) && rank >= 0 && rank < this.#record.dataParallelRanks) return
    throw new RangeError(`worker "${this.id}": rank: expected an integer from 0 to ${this.dataParallelRanks - 1}, got ${rank}`)
  }
}
