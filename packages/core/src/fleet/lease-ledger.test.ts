import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Lease, LeaseOutcome } from '../lease.js'
import { fleetFixture, leaseRequest } from '../testing/fleet-fixture.js'

const RANKS = 3

const step = fc.oneof(
  fc.record({
    do: fc.constant('take' as const),
    rank: fc.nat(RANKS - 1),
    promptTokens: fc.double({ min: 0, max: 1e6, noNaN: true }),
    cachedShare: fc.double({ min: 0, max: 1, noNaN: true }),
    expectedOutputTokens: fc.option(fc.double({ min: 0, max: 1e5, noNaN: true }), { nil: undefined }),
  }),
  fc.record({ do: fc.constant('first-token' as const), which: fc.nat() }),
  fc.record({
    do: fc.constant('end' as const),
    which: fc.nat(),
    outcome: fc.constantFrom<LeaseOutcome>('completed', 'failed', 'cancelled', 'aborted'),
  }),
)

it('keeps the sums of every rank equal to the open leases, never below zero and exactly zero at the end', async () => {
  const { fleet, join } = fleetFixture()
  const worker = await join('a', { dataParallelRanks: RANKS })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const taken: { lease: Lease; waiting: boolean; prefill: number; kv: number }[] = []
      const check = () => {
        for (let rank = 0; rank < RANKS; rank++) {
          const open = taken.filter(({ lease }) => !lease.ended && lease.request.rank === rank)
          const waiting = open.filter(entry => entry.waiting)
          expect(worker.inFlight(rank)).toEqual({
            requests: open.length,
            waitingRequests: waiting.length,
            waitingPrefillTokens: waiting.reduce((sum, { prefill }) => sum + prefill, 0),
            kvTokens: open.reduce((sum, { kv }) => sum + kv, 0),
          })
        }
        expect(worker.leases).toBe(taken.filter(({ lease }) => !lease.ended).length)
      }
      for (const now of steps) {
        const entry = now.do === 'take' ? undefined : taken[now.which % Math.max(1, taken.length)]
        if (now.do === 'take') {
          const { rank, promptTokens, cachedShare, expectedOutputTokens = 0 } = now
          const uncachedTokens = promptTokens * (1 - cachedShare)
          const lease = fleet.lease(worker, leaseRequest({ rank, promptTokens, uncachedTokens, expectedOutputTokens }))
          const kv = Math.ceil(promptTokens) + Math.ceil(expectedOutputTokens)
          taken.push({ lease, waiting: true, prefill: Math.ceil(uncachedTokens), kv })
        } else if (entry !== undefined && now.do === 'first-token') {
          entry.lease.firstToken()
          entry.waiting = false
        } else if (entry !== undefined && now.do === 'end') entry.lease.end(now.outcome)
        check()
      }
      for (const { lease } of taken) lease.end('completed')
      check()
    }),
  )
})
