/**
 * Time as a port. Production passes `systemClock`; tests, replay and simulation pass a virtual clock
 * (`@kvfleet/core/virtual-time`), so the same objects run in both.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. Never goes backwards within one process. */
  now(): number
  /** Calls `callback` once, `delayMs` from now (a negative delay counts as 0). */
  schedule(delayMs: number, callback: () => void, options?: ScheduleOptions): ScheduledCall
}

export interface ScheduleOptions {
  /** A background call does not keep the process (or a virtual clock's `runToIdle`) going. Default: false. */
  readonly background?: boolean
}

export interface ScheduledCall {
  /** Has no effect once the callback has run. */
  cancel(): void
}

/** setTimeout fires at once for delays above 2^31 - 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The machine's clock: monotonic, anchored to the epoch at process start. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  schedule(delayMs, callback, options) {
    let timer: NodeJS.Timeout
    const arm = (remainingMs: number) => {
      const waitMs = Math.min(Math.max(0, remainingMs), LONGEST_TIMER_MS)
      timer = setTimeout(() => (remainingMs > waitMs ? arm(remainingMs - waitMs) : callback()), waitMs)
      if (options?.background) timer.unref()
    }
    arm(delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Resolves after `delayMs`; rejects with the signal's reason when aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      call.cancel()
      reject(signal?.reason)
    }
    const call = clock.schedule(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * A signal that aborts with `reason()` after `delayMs`, or earlier with its parent's reason.
 * `release()` frees the timer and the listener; call it when the guarded work has ended.
 */
export function deadline(
  clock: Clock,
  delayMs: number,
  reason: () => unknown,
  parent?: AbortSignal,
): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController()
  const onParentAbort = () => controller.abort(parent?.reason)
  if (parent?.aborted) onParentAbort()
  else parent?.addEventListener('abort', onParentAbort, { once: true })
  const call = clock.schedule(delayMs, () => controller.abort(reason()), { background: true })
  return {
    signal: controller.signal,
    release() {
      call.cancel()
      parent?.removeEventListener('abort', onParentAbort)
    },
  }
}
