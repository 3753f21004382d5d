import type { Clock, ScheduledCall } from './clock.js'
import { KvFleetError } from './errors.js'

export interface VirtualClockOptions {
  /** Default: 0. */
  readonly startAt?: number
  /** A run that fires more calls than this is stuck in a loop: it throws. Default: 100 million. */
  readonly maxCalls?: number
}

/**
 * A clock that moves only when told to. Calls due at the same instant run in the order in which they were scheduled,
 * so a simulation repeats exactly.
 *
 * The `async` forms let promises settle after every call; the `Sync` forms do not and are much faster, for code
 * that is callbacks all the way.
 */
export interface VirtualClock extends Clock {
  advance(byMs: number): Promise<void>
  /** Runs until only background calls are left. */
  runToIdle(): Promise<void>
  /** Advances until `promise` settles and gives its result. Throws when nothing is left to run. */
  runUntil<T>(promise: Promise<T>): Promise<T>
  advanceSync(byMs: number): void
  runToIdleSync(): void
  /** Calls waiting, background ones included. */
  readonly pending: number
}

interface Entry {
  readonly at: number
  readonly order: number
  readonly callback: () => void
  readonly background: boolean
  cancelled: boolean
}

export function createVirtualClock({ startAt = 0, maxCalls = 100_000_000 }: VirtualClockOptions = {}): VirtualClock {
  const heap: Entry[] = []
  let now = startAt
  let order = 0
  let foreground = 0
  let calls = 0

  const schedule: Clock['schedule'] = (delayMs, callback, options): ScheduledCall => {
    const background = options?.background ?? false
    const entry: Entry = { at: now + Math.max(0, delayMs), order: order++, callback, background, cancelled: false }
    push(heap, entry)
    if (!background) foreground++
    return {
      cancel() {
        if (entry.cancelled) return
        entry.cancelled = true
        if (!background) foreground--
      },
    }
  }

  /** Runs the next call due at or before `until`; false when there is none. */
  const step = (until: number): boolean => {
    while (heap.length > 0) {
      const next = heap[0] as Entry
      if (next.cancelled) {
        pop(heap)
        continue
      }
      if (next.at > until) return false
      pop(heap)
      if (++calls > maxCalls) throw new KvFleetError('INTERNAL', `virtual clock: more than ${maxCalls} calls`)
      now = next.at
      next.cancelled = true
      if (!next.background) foreground--
      next.callback()
      return true
    }
    return false
  }

  const clock: VirtualClock = {
    now: () => now,
    schedule,
    get pending() {
      return heap.reduce((count, entry) => count + (entry.cancelled ? 0 : 1), 0)
    },
    async advance(byMs) {
      const until = now + byMs
      await settle()
      while (step(until)) await settle()
      now = Math.max(now, until)
    },
    async runToIdle() {
      await settle()
      while (foreground > 0 && step(Number.POSITIVE_INFINITY)) await settle()
    },
    async runUntil(promise) {
      let settled = false
      const mark = () => {
        settled = true
      }
      promise.then(mark, mark)
      await settle()
      while (!settled) {
        if (!step(Number.POSITIVE_INFINITY)) {
          throw new KvFleetError('INTERNAL', 'virtual clock: nothing is left to run and the promise has not settled')
        }
        await settle()
      }
      return promise
    },
    advanceSync(byMs) {
      const until = now + byMs
      while (step(until));
      // A call may itself have advanced the clock past this.
      now = Math.max(now, until)
    },
    runToIdleSync() {
      while (foreground > 0 && step(Number.POSITIVE_INFINITY));
    },
  }
  return clock
}

/** One turn of the event loop: every promise that can settle without a timer has. */
function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

function push(heap: Entry[], entry: Entry): void {
  let child = heap.length
  heap.push(entry)
  while (child > 0) {
    const parent = (child - 1) >> 1
    if (!before(entry, heap[parent] as Entry)) break
    heap[child] = heap[parent] as Entry
    child = parent
  }
  heap[child] = entry
}

function pop(heap: Entry[]): void {
  const last = heap.pop() as Entry
  if (heap.length === 0) return
  let parent = 0
  for (;;) {
    let child = 2 * parent + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++
    if (!before(heap[child] as Entry, last)) break
    heap[parent] = heap[child] as Entry
    parent = child
  }
  heap[parent] = last
}
