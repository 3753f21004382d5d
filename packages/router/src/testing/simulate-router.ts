import type { Lease } from '@kvfleet/core'
import { createRouter } from '../create-router.js'
import type { Policy } from '../policy.js'
import type { Router } from '../router.js'
import { type RoutingRequest, routingRequest } from '../routing-request.js'
import { createTestFleet, type TestFleet, type TestFleetOptions } from './test-fleet.js'

export interface RouterSimulation extends TestFleet {
  readonly router: Router
  /**
   * Routes `count` requests one after the other and reserves each: they stay in flight until `endAll`. Returns how many each
   * worker got; workers without any are left out.
   */
  send(count: number, request?: Partial<RoutingRequest>): Map<string, number>
  /** Ends everything in flight. */
  endAll(): void
}

/** A policy at work on a fleet in virtual time: enough to test where requests go, without engines or sockets. */
export function simulateRouter({ policy, ...options }: TestFleetOptions & { readonly policy: Policy }): RouterSimulation {
  const test = createTestFleet(options)
  const router = createRouter({ fleet: test.fleet, policy })
  const leases: Lease[] = []
  let requests = 0
  return {
    ...test,
    router,
    send(count, fields = {}) {
      const counts = new Map<string, number>()
      for (let index = 0; index < count; index++) {
        const request = routingRequest({ id: `request-${requests++}`, ...fields })
        const decision = router.decide(request)
        leases.push(router.reserve(decision, request))
        counts.set(decision.worker.id, (counts.get(decision.worker.id) ?? 0) + 1)
      }
      return counts
    },
    endAll() {
      for (const lease of leases.splice(0)) lease.end('completed')
    },
  }
}
