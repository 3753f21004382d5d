import type { Clock, ScheduledCall } from '../../clock.js'
import { stepMs } from '../../engine-profile.js'
import { KvFleetError } from '../../errors.js'
import { BlockPool } from './block-pool.js'
import type { SimulatedEngine, SimulatedEngineOptions, SimulatedEngineStats } from './engine.js'
import { stepsUntilChange } from './jump.js'
import { KvEventFeed } from './kv-event-feed.js'
import { parseSimulatedEngineOptions } from './options.js'
import { Scheduler } from './scheduler.js'
import { Sequence } from './sequence.js'

/** A timer that fires this close to its time, relative to its size, fires on time: sums of doubles round. */
const ROUNDING = 1e-15

/**
 * Steps have their own time: each begins where the one before ended, however late the clock's timers fire. What is due
 * is caught up on with every call, so requests, aborts and readings find exactly the steps that had ended by then.
 * A step that begins at the very instant of a call includes what that instant brings.
 */
export function createSimulatedEngine(options: SimulatedEngineOptions, { clock }: { readonly clock: Clock }): SimulatedEngine {
  const resolved = parseSimulatedEngineOptions(options)
  const { profile, blockSize, jump } = resolved
  const feed = new KvEventFeed()
  const pool = new BlockPool(resolved.kvBlocks, (high, low, copiesLeft) => feed.onForgotten(high, low, copiesLeft))
  const scheduler = new Scheduler(pool, resolved, feed)
  const { work } = scheduler

  /** starting: the next step forms at `boundary`. stepping: `jumpLeft` steps run, the first of them until `stepEndsAt`. */
  let phase: 'idle' | 'starting' | 'stepping' = 'idle'
  let boundary = 0
  let stepEndsAt = 0
  /** The step in flight began at `boundary` because its jump went on, not because it was scheduled. */
  let carriedOn = false
  let jumpLeft = 0
  let timer: ScheduledCall | undefined
  let timerAt = 0
  /** The clock's reading at the last timer, and the step's boundary that it stood for. */
  let firedOn = Number.NaN
  let firedFor = 0
  let catchingUp = false
  let closed = false
  let abortedInStep = 0
  let steps = 0
  let promptTokens = 0
  let outputTokens = 0
  let completedRequests = 0

  const form = (at: number) => {
    scheduler.schedule(at)
    if (scheduler.batch.length === 0) {
      const next = scheduler.waiting.first()
      phase = next === undefined ? 'idle' : 'starting'
      if (next !== undefined) boundary = next.submittedAt
      return
    }
    phase = 'stepping'
    boundary = at
    carriedOn = false
    stepEndsAt = at + stepMs(profile, work)
    jumpLeft = jump && scheduler.steady && !feed.hasPending ? stepsUntilChange(scheduler.batch, blockSize) : 1
  }

  /** The length of the step after the one in flight, when the batch stays. */
  const lengthen = () => {
    work.decodeContextTokens += work.decodeSequences
    return stepMs(profile, work)
  }

  /** Ends as many steps of the jump as are due at `now`. */
  const endSteps = (now: number) => {
    const firstAt = stepEndsAt
    let lastAt = stepEndsAt
    let count = 1
    while (count < jumpLeft) {
      const end = lastAt + lengthen()
      stepEndsAt = end
      if (end > now) break
      lastAt = end
      count++
    }
    steps += count
    jumpLeft -= count
    boundary = lastAt
    carriedOn = jumpLeft > 0
    if (jumpLeft === 0) phase = 'starting'
    settle(count, firstAt, lastAt)
  }

  const settle = (count: number, firstAt: number, lastAt: number) => {
    const { batch, running } = scheduler
    let leaving = abortedInStep
    abortedInStep = 0
    for (let index = 0; index < batch.length; index++) {
      const sequence = batch[index] as Sequence
      if (sequence.finish !== undefined) {
        scheduler.release(sequence)
        continue
      }
      sequence.computed += count > 1 ? count : sequence.scheduled
      if (sequence.computed < sequence.tokens) continue
      if (sequence.firstTokenAt === undefined) promptTokens += sequence.promptLength
      outputTokens += count
      sequence.produced(count, firstAt, lastAt, work.decodeSequences * profile.decodeMsPerContextToken)
      if (sequence.outputs < sequence.maxTokens) continue
      sequence.finish = 'length'
      scheduler.release(sequence)
      completedRequests++
      leaving++
    }
    if (leaving > 0) keepUnfinished(running)
    feed.publish(lastAt)
    for (let index = 0; index < batch.length; index++) {
      const sequence = batch[index] as Sequence
      sequence.deliver()
      if (sequence.finish === 'length') sequence.deliverEnd('length', lastAt)
    }
  }

  const catchUp = (now: number) => {
    if (catchingUp) return
    catchingUp = true
    try {
      for (;;) {
        if (phase === 'stepping' && stepEndsAt <= now) endSteps(now)
        else if (phase === 'starting' && boundary < now) form(boundary)
        else break
      }
    } finally {
      catchingUp = false
    }
  }

  /** The end of the jump, summed as its steps will be. */
  const jumpEndsAt = () => {
    let end = stepEndsAt
    const contextTokens = work.decodeContextTokens
    for (let count = 1; count < jumpLeft; count++) end += lengthen()
    work.decodeContextTokens = contextTokens
    return end
  }

  const arm = () => {
    if (catchingUp) return
    const at = phase === 'idle' ? undefined : phase === 'starting' ? boundary : jumpEndsAt()
    if (timer !== undefined && at === timerAt) return
    timer?.cancel()
    timer = undefined
    if (at === undefined) return
    timerAt = at
    timer = clock.schedule(at - clock.now(), () => {
      timer = undefined
      const reading = clock.now()
      firedOn = Math.abs(reading - at) <= at * ROUNDING ? reading : Number.NaN
      firedFor = at
      try {
        if (phase === 'starting') form(boundary)
        catchUp(Math.max(readClock(), at))
      } finally {
        arm()
      }
    })
  }

  /**
   * Whatever comes next needs a batch of its own: only the step in flight is still certain, and not even that one when
   * it would begin this very instant.
   */
  const cutJump = () => {
    if (phase !== 'stepping') return
    if (carriedOn && boundary === now()) phase = 'starting'
    else jumpLeft = 1
  }

  const abort = (sequence: Sequence) => {
    if (!catchingUp) catchUp(readClock())
    if (sequence.finish === undefined) end(sequence)
    arm()
  }

  const end = (sequence: Sequence) => {
    sequence.finish = 'abort'
    // Without a waiting one, those behind it may fit.
    cutJump()
    if (!scheduler.running.includes(sequence)) scheduler.waiting.leave()
    else if (phase === 'stepping' && scheduler.batch.includes(sequence)) {
      // The step in flight still computes it: its blocks are free when that step ends.
      abortedInStep++
    } else {
      scheduler.release(sequence)
      keepUnfinished(scheduler.running)
    }
    sequence.deliver()
    sequence.deliverEnd('abort', now())
  }

  const readClock = () => {
    const reading = clock.now()
    return reading === firedOn ? firedFor : reading
  }

  /** What is called from a listener happens at the boundary that the listener is told of. */
  const now = () => (catchingUp ? boundary : readClock())

  return {
    clock,
    options: resolved,
    get closed() {
      return closed
    },

    submit(request, listener) {
      if (closed) throw new KvFleetError('CLOSED', 'simulated engine: closed')
      catchUp(readClock())
      const sequence = new Sequence(request, listener, resolved, now())
      if (sequence.table.length > resolved.kvBlocks) {
        const call = clock.schedule(0, () => {
          sequence.finish = 'rejected'
          sequence.deliverEnd('rejected', clock.now())
        })
        return () => {
          if (sequence.finish !== undefined) return
          call.cancel()
          sequence.finish = 'abort'
          sequence.deliverEnd('abort', clock.now())
        }
      }
      // Behind others that find no room, nothing changes for the batch.
      if (scheduler.waiting.size === 0) cutJump()
      scheduler.waiting.add(sequence)
      if (phase === 'idle') {
        phase = 'starting'
        boundary = sequence.submittedAt
      }
      arm()
      return () => abort(sequence)
    },

    onKvEvents: listener => feed.subscribe(listener),

    stats(): SimulatedEngineStats {
      catchUp(readClock())
      arm()
      return {
        runningRequests: scheduler.running.length - abortedInStep,
        waitingRequests: scheduler.waiting.size,
        kvUsage: 1 - pool.free / pool.blocks,
        prefixCacheQueries: scheduler.prefixCacheQueries,
        prefixCacheHits: scheduler.prefixCacheHits,
        promptTokens,
        outputTokens,
        preemptions: scheduler.preemptions,
        steps,
        completedRequests,
      }
    },

    resetPrefixCache() {
      catchUp(readClock())
      if (pool.free === pool.blocks) {
        pool.clear()
        feed.onCleared()
      } else {
        pool.forgetFree()
      }
      cutJump()
      arm()
    },

    close() {
      if (closed) return
      catchUp(readClock())
      closed = true
      // The step in flight is not waited for: what it computes is lost.
      phase = 'idle'
      abortedInStep = 0
      for (const sequence of scheduler.running) if (sequence.finish !== undefined) scheduler.release(sequence)
      keepUnfinished(scheduler.running)
      for (const sequence of [...scheduler.running, ...scheduler.waiting]) if (sequence.finish === undefined) end(sequence)
      arm()
    },
  }
}

function keepUnfinished(sequences: Sequence[]): void {
  let kept = 0
  for (let index = 0; index < sequences.length; index++) {
    const sequence = sequences[index] as Sequence
    if (sequence.finish === undefined) sequences[kept++] = sequence
  }
  sequences.length = kept
}
