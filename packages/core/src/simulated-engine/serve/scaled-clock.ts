import type { Clock } from '../../clock.js'

export interface ScaledClock extends Clock {
  /** The base clock's reading at a time of this one. */
  toBase(time: number): number
}

/** A clock that runs `scale` times as fast as its base, both starting together. */
export function createScaledClock(base: Clock, scale: number): ScaledClock {
  const startedAt = base.now()
  return {
    now: () => startedAt + (base.now() - startedAt) * scale,
    schedule: (delayMs, callback, options) => base.schedule(delayMs / scale, callback, options),
    toBase: time => startedAt + (time - startedAt) / scale,
  }
}
