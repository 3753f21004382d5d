import { sleep } from '../clock.js'
import type { KvStreamItem } from '../kv-events/kv-event.js'
import type { KvEventSource, KvEventSourceContext } from '../kv-events/kv-event-source.js'
import type { Worker } from '../worker.js'

/** A KvEventSource whose events the test writes itself. */
export interface ScriptedKvSource extends KvEventSource {
  /** Subscriptions that are open. */
  readonly openCount: number
  /** What the context of a worker's newest subscription receives, open or not. */
  send(
    worker: Worker,
    item: { readonly type: 'batch'; readonly sequence: number } | { readonly type: 'reset'; readonly reason: 'joined' | 'closed' },
  ): void
  complain(worker: Worker, problem: Error): void
}

export interface ScriptedKvSourceOptions {
  readonly openFails?: Error
  readonly closeFails?: Error
  readonly openMs?: number
}

export function scriptedKvSource({ openFails, closeFails, openMs = 0 }: ScriptedKvSourceOptions = {}): ScriptedKvSource {
  const contexts = new Map<Worker, KvEventSourceContext>()
  let openCount = 0
  return {
    name: 'scripted',
    get openCount() {
      return openCount
    },
    async open(worker, context) {
      contexts.set(worker, context)
      if (openMs > 0) await sleep(context.clock, openMs)
      if (openFails !== undefined) throw openFails
      openCount++
      return {
        sources: worker.dataParallelRanks,
        async close() {
          openCount--
          if (closeFails !== undefined) throw closeFails
        },
      }
    },
    send(worker, item) {
      const source = { kind: 'worker', workerId: worker.id, incarnation: worker.incarnation, rank: 0 } as const
      const full: KvStreamItem = item.type === 'batch' ? { ...item, source, publishedAtMs: 0, events: [] } : { ...item, source }
      contexts.get(worker)?.onItem(full)
    },
    complain(worker, problem) {
      contexts.get(worker)?.onProblem(problem)
    },
  }
}
