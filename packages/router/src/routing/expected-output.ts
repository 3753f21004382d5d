import { routerDefaults } from '../defaults.js'
import type { RoutingRequest } from '../routing-request.js'

/** The client's limit where it says something about the length, else the usual length. */
export function expectedOutputTokens({ maxOutputTokens }: RoutingRequest): number {
  return Math.min(maxOutputTokens ?? routerDefaults.expectedOutputTokens, routerDefaults.maxExpectedOutputTokens)
}
