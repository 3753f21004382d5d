import type { EngineAdapter } from '../../engine.js'
import { KvFleetError } from '../../errors.js'
import type { SimulatedEngine } from './engine.js'

/** Shared through the global symbol registry, so that adapters of a second package copy are recognised. */
const ENGINE = Symbol.for('kvfleet.simulated-engine')

/**
 * The adapter of a worker that is simulated in this process: nothing goes over a socket, so its URL is only a name.
 * Unhealthy once the engine is closed.
 */
export function inProcessEngine(engine: SimulatedEngine, { model = 'simulated' }: { readonly model?: string } = {}): EngineAdapter {
  const { blockSize, kvBlocks, maxRunningRequests } = engine.options
  const assertOpen = () => {
    if (engine.closed) throw new KvFleetError('ENGINE_UNREACHABLE', 'simulated engine: closed', { retryable: true })
  }
  const adapter: EngineAdapter = {
    name: 'simulated',
    async health() {
      assertOpen()
    },
    async describe() {
      assertOpen()
      return { models: [model], blockSize, dataParallelRanks: 1, capacity: { kvBlocks, maxRunningRequests } }
    },
    async load({ clock }) {
      assertOpen()
      const { runningRequests, waitingRequests, kvUsage, prefixCacheQueries, prefixCacheHits } = engine.stats()
      return [{ runningRequests, waitingRequests, kvUsage, prefixCacheQueries, prefixCacheHits, at: clock.now() }]
    },
  }
  Object.defineProperty(adapter, ENGINE, { value: engine })
  return adapter
}

/** The engine behind an adapter made by `inProcessEngine`; undefined for any other. */
export function simulatedEngineOf(adapter: EngineAdapter): SimulatedEngine | undefined {
  return (adapter as { readonly [ENGINE]?: SimulatedEngine })[ENGINE]
}
