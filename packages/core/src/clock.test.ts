import { describe, expect, it } from 'vitest'
import { deadline, sleep, systemClock } from './index.js'
import { createVirtualClock } from './virtual-time.js'

describe('the system clock', () => {
  it('counts epoch milliseconds and does not go backwards', () => {
    const before = systemClock.now()
    expect(Math.abs(before - Date.now())).toBeLessThan(60_000)
    for (let last = before, round = 0; round < 1000; round++) {
      const next = systemClock.now()
      expect(next).toBeGreaterThanOrEqual(last)
      last = next
    }
  })

  it('calls once, and not at all when cancelled', async () => {
    const calls: string[] = []
    systemClock.schedule(5, () => calls.push('cancelled')).cancel()
    await new Promise<void>(resolve => systemClock.schedule(10, () => resolve(void calls.push('called'))))
    expect(calls).toEqual(['called'])
  })

  it('does not fire at once for delays longer than a timer can hold', async () => {
    let fired = false
    const call = systemClock.schedule(2 ** 40, () => {
      fired = true
    })
    await sleep(systemClock, 5)
    call.cancel()
    expect(fired).toBe(false)
  })
})

describe('sleep', () => {
  it('resolves after the delay and rejects with the reason of the signal', async () => {
    const clock = createVirtualClock()
    const slept = sleep(clock, 100)
    const controller = new AbortController()
    const interrupted = sleep(clock, 100, controller.signal)
    controller.abort('enough')
    await expect(interrupted).rejects.toBe('enough')
    await clock.runUntil(slept)
    expect(clock.now()).toBe(100)
    expect(clock.pending).toBe(0)
    await expect(sleep(clock, 1, AbortSignal.abort('too late'))).rejects.toBe('too late')
  })
})

describe('deadline', () => {
  it('aborts with its reason in time, or with the reason of its parent before', async () => {
    const clock = createVirtualClock()
    const own = deadline(clock, 50, () => 'late')
    const controller = new AbortController()
    const inherited = deadline(clock, 50, () => 'late', controller.signal)
    controller.abort('parent')
    expect(inherited.signal.reason).toBe('parent')
    await clock.advance(50)
    expect(own.signal.reason).toBe('late')
    expect(deadline(clock, 50, () => 'late', AbortSignal.abort('before')).signal.reason).toBe('before')
  })

  it('leaves no timer behind once released', async () => {
    const clock = createVirtualClock()
    const guarded = deadline(clock, 50, () => 'late')
    guarded.release()
    expect(clock.pending).toBe(0)
    await clock.advance(100)
    expect(guarded.signal.aborted).toBe(false)
  })
})
