import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sleep } from './index.js'
import { createVirtualClock } from './virtual-time.js'

describe('the virtual clock', () => {
  it('runs calls in order of time, then in order of scheduling, whatever was cancelled', () => {
    const call = fc.record({ delay: fc.nat(50), cancelled: fc.boolean() })
    fc.assert(
      fc.property(fc.array(call, { maxLength: 200 }), calls => {
        const clock = createVirtualClock()
        const ran: { index: number; at: number }[] = []
        const handles = calls.map(({ delay }, index) => clock.schedule(delay, () => ran.push({ index, at: clock.now() })))
        calls.forEach(({ cancelled }, index) => cancelled && handles[index]?.cancel())
        clock.runToIdleSync()
        const expected = calls
          .map(({ delay, cancelled }, index) => ({ index, at: delay, cancelled }))
          .filter(({ cancelled }) => !cancelled)
          .sort((a, b) => a.at - b.at || a.index - b.index)
          .map(({ index, at }) => ({ index, at }))
        expect(ran).toEqual(expected)
        expect(clock.pending).toBe(0)
      }),
    )
  })

  it('stops exactly at the time it was advanced to', async () => {
    const clock = createVirtualClock({ startAt: 1000 })
    const ran: number[] = []
    for (const delay of [10, 20, 30]) clock.schedule(delay, () => ran.push(clock.now()))
    await clock.advance(20)
    expect(ran).toEqual([1010, 1020])
    expect(clock.now()).toBe(1020)
    clock.advanceSync(5)
    expect(clock.now()).toBe(1025)
    expect(clock.pending).toBe(1)
  })

  it('lets promises settle between calls', async () => {
    const clock = createVirtualClock()
    const log: string[] = []
    const worker = async (name: string) => {
      for (let round = 0; round < 2; round++) {
        await sleep(clock, 10)
        await Promise.resolve()
        log.push(`${name}${round}@${clock.now()}`)
      }
    }
    const both = Promise.all([worker('a'), worker('b')])
    await clock.runToIdle()
    await both
    expect(log).toEqual(['a0@10', 'b0@10', 'a1@20', 'b1@20'])
  })

  it('does not wait for background calls when it runs to idle', async () => {
    const clock = createVirtualClock()
    let probes = 0
    const probe = () => {
      probes++
      clock.schedule(10, probe, { background: true })
    }
    clock.schedule(10, probe, { background: true })
    clock.schedule(35, () => {})
    await clock.runToIdle()
    expect([clock.now(), probes]).toEqual([35, 3])
  })

  it('runs until a promise settles, and says so when it never can', async () => {
    const clock = createVirtualClock()
    expect(await clock.runUntil(sleep(clock, 30).then(() => 'done'))).toBe('done')
    await expect(clock.runUntil(new Promise(() => {}))).rejects.toThrow(/nothing is left to run/)
    await expect(clock.runUntil(Promise.reject(new Error('no')))).rejects.toThrow('no')
  })

  it('refuses to run forever', () => {
    const clock = createVirtualClock({ maxCalls: 100 })
    const again = () => void clock.schedule(0, again)
    again()
    expect(() => clock.runToIdleSync()).toThrow(/more than 100 calls/)
  })

  it('never goes back when a call advances it further than it was advancing', async () => {
    const clock = createVirtualClock()
    const ran: number[] = []
    clock.schedule(5, () => clock.advanceSync(100))
    clock.schedule(50, () => ran.push(clock.now()))
    clock.advanceSync(10)
    expect([clock.now(), ran]).toEqual([105, [50]])
    clock.schedule(5, () => clock.advanceSync(100))
    await clock.advance(10)
    expect(clock.now()).toBe(210)
  })
})
