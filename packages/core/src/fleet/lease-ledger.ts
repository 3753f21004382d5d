import { KvFleetError } from '../errors.js'
import { type Lease, type LeaseOutcome, type LeaseRequest, NOTHING_IN_FLIGHT } from '../lease.js'
import type { InFlight, Worker } from '../worker.js'

/** Told of every change, after the counts have changed. */
export interface LedgerObserver {
  taken(lease: LedgerLease): void
  firstToken(lease: LedgerLease): void
  ended(lease: LedgerLease, outcome: LeaseOutcome): void
}

/** The counts of one rank; `snapshot` is what was last handed out, until something changes. */
class RankCounts {
  requests = 0
  waitingRequests = 0
  waitingPrefillTokens = 0
  kvTokens = 0
  snapshot: InFlight | undefined = NOTHING_IN_FLIGHT

  read(): InFlight {
    if (this.snapshot === undefined) {
      const { requests, waitingRequests, waitingPrefillTokens, kvTokens } = this
      this.snapshot = { requests, waitingRequests, waitingPrefillTokens, kvTokens }
    }
    return this.snapshot
  }
}

export class LedgerLease implements Lease {
  readonly id: number
  readonly worker: Worker
  readonly request: LeaseRequest
  readonly #ledger: LeaseLedger
  readonly #counts: RankCounts
  readonly #takenAt: number
  readonly #uncachedTokens: number
  readonly #kvTokens: number
  #waiting = true
  #ended = false
  #abortedWith: KvFleetError | undefined
  #controller: AbortController | undefined
  #previous: LedgerLease | undefined
  #next: LedgerLease | undefined

  constructor(
    ledger: LeaseLedger,
    counts: RankCounts,
    id: number,
    worker: Worker,
    request: LeaseRequest,
    takenAt: number,
    newest: LedgerLease | undefined,
  ) {
    const promptTokens = tokens('promptTokens', request.promptTokens)
    this.#uncachedTokens = tokens('uncachedTokens', request.uncachedTokens ?? promptTokens)
    this.#kvTokens = promptTokens + tokens('expectedOutputTokens', request.expectedOutputTokens ?? 0)
    this.id = id
    this.worker = worker
    this.request = request
    this.#ledger = ledger
    this.#counts = counts
    this.#takenAt = takenAt
    this.#next = newest
    if (newest !== undefined) newest.#previous = this
    counts.requests++
    counts.waitingRequests++
    counts.waitingPrefillTokens += this.#uncachedTokens
    counts.kvTokens += this.#kvTokens
    counts.snapshot = undefined
  }

  get ended(): boolean {
    return this.#ended
  }

  get takenAt(): number {
    return this.#takenAt
  }

  /** The lease taken before this one that is still open. */
  get older(): LedgerLease | undefined {
    return this.#next
  }

  /** Made when first read: most requests are never aborted by the fleet. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortedWith !== undefined) this.#controller.abort(this.#abortedWith)
    }
    return this.#controller.signal
  }

  firstToken(): void {
    if (this.#ended || !this.#waiting) return
    this.#leaveQueue()
    this.#ledger.observer.firstToken(this)
  }

  end(outcome: LeaseOutcome): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#waiting) this.#leaveQueue()
    const counts = this.#counts
    counts.requests--
    counts.kvTokens -= this.#kvTokens
    counts.snapshot = undefined
    if (this.#next !== undefined) this.#next.#previous = this.#previous
    if (this.#previous !== undefined) this.#previous.#next = this.#next
    this.#ledger.forget(this)
    this.#next = undefined
    this.#previous = undefined
    this.#ledger.observer.ended(this, outcome)
  }

  abort(reason: KvFleetError): void {
    if (this.#ended) return
    this.#abortedWith = reason
    this.end('aborted')
    this.#controller?.abort(reason)
  }

  #leaveQueue(): void {
    this.#waiting = false
    this.#counts.waitingRequests--
    this.#counts.waitingPrefillTokens -= this.#uncachedTokens
    this.#counts.snapshot = undefined
  }
}

/**
 * What is in flight on one worker. Taking, first token and end cost a handful of additions each; the leases are a
 * linked list, so that nothing but the lease itself is allocated.
 */
export class LeaseLedger {
  readonly observer: LedgerObserver
  readonly #ranks: RankCounts[] = []
  #newest: LedgerLease | undefined
  #open = 0

  constructor(observer: LedgerObserver) {
    this.observer = observer
  }

  /** Open leases of all ranks. */
  get open(): number {
    return this.#open
  }

  take(id: number, worker: Worker, request: LeaseRequest, takenAt: number): LedgerLease {
    const rank = request.rank ?? 0
    if (!(Number.isInteger(rank) && rank >= 0 && rank < worker.dataParallelRanks)) {
      throw invalid('rank', rank, `an integer from 0 to ${worker.dataParallelRanks - 1}`)
    }
    let counts = this.#ranks[rank]
    if (counts === undefined) {
      counts = new RankCounts()
      this.#ranks[rank] = counts
    }
    const lease = new LedgerLease(this, counts, id, worker, request, takenAt, this.#newest)
    this.#newest = lease
    this.#open++
    this.observer.taken(lease)
    return lease
  }

  inFlight(rank: number): InFlight {
    return this.#ranks[rank]?.read() ?? NOTHING_IN_FLIGHT
  }

  /** Ends every open lease as `aborted`; returns how many there were. */
  abortAll(reason: KvFleetError): number {
    const before = this.#open
    while (this.#newest !== undefined) this.#newest.abort(reason)
    return before
  }

  /** For the lease that is ending. */
  forget(lease: LedgerLease): void {
    this.#open--
    if (this.#newest === lease) this.#newest = lease.older
  }
}

/** Whole tokens keep the sums exact: an estimate is rounded up. */
function tokens(field: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return Math.ceil(value)
  throw invalid(field, value, 'a finite number of tokens, at least 0')
}

function invalid(field: string, value: number, expected: string): KvFleetError {
  return new KvFleetError('OPTION_INVALID', `fleet.lease: ${field}: expected ${expected}, got ${value}`, {
    details: { what: 'fleet.lease', field, expected, received: String(value) },
  })
}
