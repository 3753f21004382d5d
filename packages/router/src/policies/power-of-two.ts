import { betterOfTwo } from '../pickers/better-of-two.js'
import type { Policy } from '../policy.js'
import { requestLoad } from '../scorers/request-load.js'
import { composePolicy } from './compose-policy.js'

export const powerOfTwo = (): Policy => composePolicy({ name: 'power-of-two', scorers: [[requestLoad(), 1]], picker: betterOfTwo() })
