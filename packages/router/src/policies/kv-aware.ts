import type { Policy } from '../policy.js'
import { type ExpectedCostOptions, expectedCost } from '../scorers/expected-cost.js'
import { composePolicy } from './compose-policy.js'

export type KvAwareOptions = ExpectedCostOptions

export const kvAware = (options: KvAwareOptions = {}): Policy => composePolicy({ name: 'kv-aware', scorers: [[expectedCost(options), 1]] })
