import { describe, expect, it } from 'vitest'
import { KvFleetError } from './errors.js'
import type { LeaseRequest } from './lease.js'
import { fleetFixture, leaseRequest } from './testing/fleet-fixture.js'

describe('a lease', () => {
  it('counts as waiting until its first token and as running until its end', async () => {
    const { fleet, join } = fleetFixture()
    const worker = await join('a')
    const lease = fleet.lease(worker, leaseRequest({ promptTokens: 100, uncachedTokens: 40, expectedOutputTokens: 20 }))
    expect(worker.inFlight(0)).toEqual({ requests: 1, waitingRequests: 1, waitingPrefillTokens: 40, kvTokens: 120 })
    lease.firstToken()
    lease.firstToken()
    expect(worker.inFlight(0)).toEqual({ requests: 1, waitingRequests: 0, waitingPrefillTokens: 0, kvTokens: 120 })
    lease.end('completed')
    lease.end('failed')
    lease.firstToken()
    expect(worker.inFlight(0)).toEqual({ requests: 0, waitingRequests: 0, waitingPrefillTokens: 0, kvTokens: 0 })
    expect(lease.ended).toBe(true)
    expect(worker.leases).toBe(0)
  })

  it('takes the whole prompt as uncached when nothing is said, and frees what waited when it ends early', async () => {
    const { fleet, join } = fleetFixture()
    const worker = await join('a')
    const lease = fleet.lease(worker, leaseRequest({ promptTokens: 7 }))
    expect(worker.inFlight(0).waitingPrefillTokens).toBe(7)
    lease.end('cancelled')
    expect(worker.inFlight(0).waitingPrefillTokens).toBe(0)
  })

  it('is counted on its own rank', async () => {
    const { fleet, join } = fleetFixture()
    const worker = await join('a', { dataParallelRanks: 2 })
    fleet.lease(worker, leaseRequest({ rank: 1 }))
    expect([worker.inFlight(0).requests, worker.inFlight(1).requests, worker.leases]).toEqual([0, 1, 1])
    expect(() => worker.inFlight(2)).toThrow(RangeError)
    expect(() => worker.load(-1)).toThrow(RangeError)
  })

  it('hands out counts that do not change afterwards', async () => {
    const { fleet, join } = fleetFixture()
    const worker = await join('a')
    const before = worker.inFlight(0)
    fleet.lease(worker, leaseRequest())
    expect(before.requests).toBe(0)
    expect(worker.inFlight(0)).toBe(worker.inFlight(0))
  })

  it('shows an abort whether its signal was read before or after', async () => {
    const { fleet, join, clock } = fleetFixture()
    const worker = await join('a')
    const early = fleet.lease(worker, leaseRequest())
    const late = fleet.lease(worker, leaseRequest())
    const ended = fleet.lease(worker, leaseRequest())
    ended.end('completed')
    const { signal } = early
    expect(signal.aborted).toBe(false)
    await clock.runUntil(fleet.remove('a', { force: true }))
    for (const aborted of [signal, late.signal]) {
      expect(aborted.aborted).toBe(true)
      expect(KvFleetError.is(aborted.reason, 'WORKER_REMOVED')).toBe(true)
    }
    expect([early.ended, late.ended]).toEqual([true, true])
    expect(ended.signal.aborted).toBe(false)
  })

  it.each<[string, Partial<LeaseRequest>]>([
    ['rank', { rank: 1 }],
    ['rank', { rank: 0.5 }],
    ['promptTokens', { promptTokens: -1 }],
    ['uncachedTokens', { uncachedTokens: Number.NaN }],
    ['expectedOutputTokens', { expectedOutputTokens: Number.POSITIVE_INFINITY }],
  ])('is refused with OPTION_INVALID for a bad %s: %o', async (field, request) => {
    const { fleet, join } = fleetFixture()
    const worker = await join('a')
    expect(() => fleet.lease(worker, leaseRequest(request))).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', details: expect.objectContaining({ field }) }),
    )
    expect(worker.inFlight(0).requests + worker.leases).toBe(0)
  })

  it('is refused with WORKER_PHASE unless the worker is active, and with WORKER_UNKNOWN for another fleet', async () => {
    const { fleet, join, clock } = fleetFixture()
    const worker = await join('a')
    await clock.runUntil(fleet.drain('a'))
    expect(() => fleet.lease(worker, leaseRequest())).toThrow(expect.objectContaining({ code: 'WORKER_PHASE', retryable: true }))
    await clock.runUntil(fleet.remove('a'))
    expect(() => fleet.lease(worker, leaseRequest())).toThrow(expect.objectContaining({ code: 'WORKER_PHASE' }))
    const stranger = await fleetFixture().join('a')
    expect(() => fleet.lease(stranger, leaseRequest())).toThrow(expect.objectContaining({ code: 'WORKER_UNKNOWN' }))
  })
})
