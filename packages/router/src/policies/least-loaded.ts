import type { Policy } from '../policy.js'
import { requestLoad } from '../scorers/request-load.js'
import { composePolicy } from './compose-policy.js'

export const leastLoaded = (): Policy => composePolicy({ name: 'least-loaded', scorers: [[requestLoad(), 1]] })
