import { sleep } from '../clock.js'
import type { EngineAdapter, EngineConnection, EngineDescription, EngineLoad } from '../engine.js'
import { KvFleetError } from '../errors.js'

/** up: answers. down: refuses. silent: takes the call and never answers. */
export type MemoryEngineState = 'up' | 'down' | 'silent'

export interface MemoryEngineOptions {
  /** Default: `up`. */
  readonly state?: MemoryEngineState
  /** What `describe` answers. Default: one model, `m`. */
  readonly description?: EngineDescription
  /** What `load` answers, by rank; left out: the engine reports no load. */
  readonly load?: readonly Omit<EngineLoad, 'at'>[]
  /** How long each answer takes on the connection's clock. Default: 0, without a timer. */
  readonly latencyMs?: number
}

/** An engine without a network, for tests of whatever stands on adapters. Its members may be set at any time. */
export interface MemoryEngine extends EngineAdapter {
  state: MemoryEngineState
  description: EngineDescription
  /** Takes `load` and `describe` down while `health` stays as it is. */
  reportsFail: boolean
  /** Every call so far, oldest first. */
  readonly calls: readonly { readonly method: 'health' | 'describe' | 'load'; readonly at: number }[]
  /** Most calls that were under way at once. */
  readonly mostConcurrentCalls: number
}

export function memoryEngine(options: MemoryEngineOptions = {}): MemoryEngine {
  const { latencyMs = 0, load } = options
  const calls: MemoryEngine['calls'][number][] = []
  let concurrent = 0
  let mostConcurrent = 0

  const answer = async (method: 'health' | 'describe' | 'load', { clock, signal }: EngineConnection) => {
    calls.push({ method, at: clock.now() })
    concurrent++
    mostConcurrent = Math.max(mostConcurrent, concurrent)
    try {
      if (latencyMs > 0) await sleep(clock, latencyMs, signal)
      if (engine.state === 'silent')
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
      if (engine.state === 'down' || (engine.reportsFail && method !== 'health')) {
        throw new KvFleetError('ENGINE_UNREACHABLE', `memory engine: ${method}: connection refused`, { retryable: true })
      }
      return clock.now()
    } finally {
      concurrent--
    }
  }

  const engine: MemoryEngine = {
    name: 'memory',
    state: options.state ?? 'up',
    description: options.description ?? { models: ['m'] },
    reportsFail: false,
    calls,
    get mostConcurrentCalls() {
      return mostConcurrent
    },
    async health(connection) {
      await answer('health', connection)
    },
    async describe(connection) {
      await answer('describe', connection)
      return engine.description
    },
    ...(load === undefined
      ? {}
      : {
          async load(connection: EngineConnection) {
            const at = await answer('load', connection)
            return load.map(entry => ({ ...entry, at }))
          },
        }),
  }
  return engine
}
