import { describe, expect, it } from 'vitest'
import { testEngineAdapter } from './engine-conformance.js'
import { memoryEngine } from './memory-engine.js'

const load = { runningRequests: 1, waitingRequests: 0, kvUsage: 0.25 }

describe('memoryEngine', () => {
  testEngineAdapter(
    { create: () => memoryEngine({ load: [load] }), start: async () => ({ url: 'http://127.0.0.1:1', close: async () => {} }) },
    { it, expect },
  )
})
