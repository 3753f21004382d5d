import { atRandom } from '../pickers/at-random.js'
import type { Policy } from '../policy.js'
import { composePolicy } from './compose-policy.js'

export const random = (): Policy => composePolicy({ name: 'random', picker: atRandom() })
