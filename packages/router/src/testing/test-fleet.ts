import {
  createFleet,
  type EngineAdapter,
  type Fleet,
  type KvEventSource,
  type KvEventSourceContext,
  type KvStreamItem,
  seededRandom,
  type Worker,
  type WorkerSpec,
} from '@kvfleet/core'
import { createVirtualClock, type VirtualClock } from '@kvfleet/core/virtual-time'

export interface TestFleetOptions {
  /** Of the fleet's `random`. Default: 0. */
  readonly seed?: number | string
  /** Whether the fleet has a source of KV events, which `emit` feeds. Default: true. */
  readonly kvEvents?: boolean
}

export interface TestFleet {
  readonly fleet: Fleet
  readonly clock: VirtualClock
  /** Active when this resolves; no time passes. */
  addWorker(id: string, spec?: Partial<Omit<WorkerSpec, 'id'>>): Promise<Worker>
  removeWorker(id: string): Promise<void>
  /**
   * Feeds the fleet's stream as if the item's source had published it; nothing happens when that worker has left. Who
   * wants to hear it (a router, an index) is created before the worker is added.
   */
  emit(item: KvStreamItem): void
}

/** A fleet in virtual time whose workers exist in name only: they join at once, are never probed and serve nothing. */
export function createTestFleet({ seed = 0, kvEvents = true }: TestFleetOptions = {}): TestFleet {
  const clock = createVirtualClock()
  const feeds = new Map<string, KvEventSourceContext>()
  const source: KvEventSource = {
    name: 'test',
    async open(worker, context) {
      feeds.set(worker.id, context)
      return {
        sources: worker.dataParallelRanks,
        close: async () => {
          if (feeds.get(worker.id) === context) feeds.delete(worker.id)
        },
      }
    },
  }
  const fleet = createFleet({ clock, random: seededRandom(seed), probes: false, breaker: false, ...(kvEvents ? { kvEvents: source } : {}) })
  return {
    fleet,
    clock,
    addWorker: (id, spec = {}) => clock.runUntil(fleet.add({ id, url: 'http://127.0.0.1:1', engine: idleEngine, ...spec })),
    removeWorker: async id => {
      await clock.runUntil(fleet.remove(id, { force: true }))
    },
    emit(item) {
      if (item.source.kind === 'worker') feeds.get(item.source.workerId)?.onItem(item)
    },
  }
}

const idleEngine: EngineAdapter = { name: 'test', health: async () => {} }
