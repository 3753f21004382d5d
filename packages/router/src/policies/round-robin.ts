import { inTurn } from '../pickers/in-turn.js'
import type { Policy } from '../policy.js'
import { composePolicy } from './compose-policy.js'

export const roundRobin = (): Policy => composePolicy({ name: 'round-robin', picker: inTurn() })
