import type { StepWork } from '../../engine-profile.js'
import type { BlockPool } from './block-pool.js'
import type { SimulatedEngineOptions } from './engine.js'
import type { Sequence } from './sequence.js'
import { WaitingQueue } from './waiting-queue.js'

export interface SchedulerListener {
  /** Blocks `from` up to, not including, `to` of the sequence became hittable. `duplicates`: see SimulatedKvEvent. */
  onStored(sequence: Sequence, from: number, to: number, duplicates: Uint8Array | undefined): void
}

/**
 * Who runs in the next step, decided as vLLM's V1 scheduler does it: running requests first, in order of admission,
 * one token each while decoding and otherwise as much prompt as the step's token budget leaves; then waiting requests
 * first come, first served, as long as the whole prompt finds room. When a running request needs a block and none is
 * free, the last admitted one gives up all of its blocks and starts over later; in such a step nobody is admitted.
 *
 * Blocks become hittable when they are scheduled, so a request admitted later in the same step already shares them.
 */
export class Scheduler {
  readonly running: Sequence[] = []
  readonly waiting = new WaitingQueue()
  /** The sequences of the step, each with its `scheduled` tokens. */
  readonly batch: Sequence[] = []
  readonly work: { -readonly [K in keyof StepWork]: StepWork[K] } = {
    prefillTokens: 0,
    prefillContextTokens: 0,
    decodeSequences: 0,
    decodeContextTokens: 0,
  }
  /** True when the next steps are sure to have the same batch until a request ends or a block fills up. */
  steady = false
  preemptions = 0
  prefixCacheQueries = 0
  prefixCacheHits = 0
  readonly #pool: BlockPool
  readonly #blockSize: number
  readonly #maxBatchedTokens: number
  readonly #maxRunning: number
  readonly #listener: SchedulerListener

  constructor(pool: BlockPool, options: Required<SimulatedEngineOptions>, listener: SchedulerListener) {
    this.#pool = pool
    this.#blockSize = options.blockSize
    this.#maxBatchedTokens = options.profile.maxBatchedTokens
    // With more, the last ones would never get a token.
    this.#maxRunning = Math.min(options.maxRunningRequests, this.#maxBatchedTokens)
    this.#listener = listener
  }

  /** Forms the step that starts at `now`; an empty batch when there is nothing to do. */
  schedule(now: number): void {
    const { work } = this
    this.batch.length = 0
    work.prefillTokens = work.prefillContextTokens = work.decodeSequences = work.decodeContextTokens = 0
    const preempted = this.preemptions
    const budget = this.#scheduleRunning()
    const stable = preempted === this.preemptions
    if (stable) this.#admit(now, budget)
    const next = this.waiting.first()
    this.steady = stable && work.prefillTokens === 0 && (next === undefined || next.submittedAt <= now)
  }

  /** Gives a request's blocks back. */
  release(sequence: Sequence): void {
    this.#pool.release(sequence.table, sequence.blockCount, sequence.cachedBlocks)
    sequence.blockCount = 0
    sequence.cachedBlocks = 0
  }

  #scheduleRunning(): number {
    let budget = this.#maxBatchedTokens
    for (let index = 0; index < this.running.length && budget > 0; index++) {
      const sequence = this.running[index] as Sequence
      const count = Math.min(sequence.tokens - sequence.computed, budget)
      while (!this.#extend(sequence, count)) {
        const last = this.running.pop() as Sequence
        this.#preempt(last)
        if (last === sequence) return budget
      }
      budget -= count
      this.#join(sequence, count)
    }
    return budget
  }

  #admit(now: number, budgetLeft: number): void {
    let budget = budgetLeft
    while (budget > 0 && this.running.length < this.#maxRunning) {
      const sequence = this.waiting.first()
      if (sequence === undefined || sequence.submittedAt > now) return
      const hits = this.#countHits(sequence)
      if (!this.#fits(sequence, hits)) return
      this.waiting.removeFirst()
      this.running.push(sequence)
      this.#adopt(sequence, hits)
      if (sequence.scheduledAt === undefined) {
        sequence.scheduledAt = now
        sequence.cachedTokens = sequence.computed
        this.prefixCacheQueries += sequence.promptLength
        this.prefixCacheHits += sequence.computed
      }
      const count = Math.min(sequence.tokens - sequence.computed, budget)
      sequence.prefillTarget = sequence.tokens
      this.#extend(sequence, count)
      budget -= count
      this.#join(sequence, count)
    }
  }

  /** Cached blocks at the start of the request. At least one token is always computed: it gives the first output. */
  #countHits(sequence: Sequence): number {
    const most = Math.min(sequence.hashedBlocks, Math.floor((sequence.tokens - 1) / this.#blockSize))
    const { hashes, table } = sequence
    for (let hits = 0; hits < most; hits++) {
      const block = this.#pool.find(hashes[2 * hits] as number, hashes[2 * hits + 1] as number)
      if (block < 0) return hits
      table[hits] = block
    }
    return most
  }

  /** A request is admitted only when everything it has so far finds room, not just its first chunk. */
  #fits(sequence: Sequence, hits: number): boolean {
    let needed = Math.ceil(sequence.tokens / this.#blockSize) - hits
    if (needed > this.#pool.free) return false
    for (let index = 0; index < hits; index++) if (this.#pool.isFree(sequence.table[index] as number)) needed++
    return needed <= this.#pool.free
  }

  #adopt(sequence: Sequence, hits: number): void {
    for (let index = 0; index < hits; index++) this.#pool.touch(sequence.table[index] as number)
    sequence.blockCount = hits
    sequence.cachedBlocks = hits
    sequence.computed = hits * this.#blockSize
  }

  /** Room for `count` more tokens, and what this fills becomes hittable. False when blocks ran out. */
  #extend(sequence: Sequence, count: number): boolean {
    const end = sequence.computed + count
    const blocks = Math.ceil(end / this.#blockSize)
    if (blocks - sequence.blockCount > this.#pool.free) return false
    while (sequence.blockCount < blocks) sequence.table[sequence.blockCount++] = this.#pool.allocate()
    const from = sequence.cachedBlocks
    const to = Math.floor(end / this.#blockSize)
    if (to > from) this.#store(sequence, from, to)
    return true
  }

  #store(sequence: Sequence, from: number, to: number): void {
    sequence.hashThrough(to)
    const { hashes, table } = sequence
    let duplicates: Uint8Array | undefined
    for (let index = from; index < to; index++) {
      const duplicate = this.#pool.cache(table[index] as number, hashes[2 * index] as number, hashes[2 * index + 1] as number)
      if (duplicate) {
        duplicates ??= new Uint8Array(to - from)
        duplicates[index - from] = 1
      }
    }
    sequence.cachedBlocks = to
    this.#listener.onStored(sequence, from, to, duplicates)
  }

  #join(sequence: Sequence, count: number): void {
    const { work } = this
    sequence.scheduled = count
    this.batch.push(sequence)
    if (sequence.computed < sequence.prefillTarget) {
      work.prefillTokens += count
      work.prefillContextTokens += count * (sequence.computed + count / 2)
    } else {
      work.decodeSequences++
      work.decodeContextTokens += sequence.computed + 1
    }
  }

  #preempt(sequence: Sequence): void {
    this.release(sequence)
    sequence.computed = 0
    sequence.preemptions++
    this.preemptions++
    this.waiting.putFirst(sequence)
  }
}
