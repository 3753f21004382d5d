import * as v from 'valibot'
import { promptExtraKeys } from '../../block-hashes/chain64.js'
import type { KvBlocksStored, KvEvent, KvHolder, KvKeySpace, KvStreamItem } from '../../kv-events/kv-event.js'
import type { KvEventSource } from '../../kv-events/kv-event-source.js'
import { parseOptions } from '../../options.js'
import type { SimulatedKvEvent } from './engine.js'
import { simulatedEngineOf } from './in-process.js'

const optionsSchema = v.strictObject({
  delayMs: v.optional(v.pipe(v.number(), v.finite('expected a finite number'), v.minValue(0, 'expected at least 0')), 0),
})

export interface InProcessKvEventsOptions {
  /** From the step's end to the consumer. Default: 0, at once. */
  readonly delayMs?: number
}

/**
 * KV events of workers whose adapter was made by `inProcessEngine`; other workers have none. A block that an engine
 * holds twice is told once, and its removal when the last copy goes. The hashes are those of `chainBlockHashes`.
 */
export function inProcessKvEvents(options: InProcessKvEventsOptions = {}): KvEventSource {
  const { delayMs } = parseOptions('in-process KV events', optionsSchema, options)
  return {
    name: 'in-process',
    async open(worker, { clock, onItem }) {
      const engine = simulatedEngineOf(worker.engine)
      if (engine === undefined) return { sources: 0, close: async () => {} }
      const source: KvHolder = { kind: 'worker', workerId: worker.id, incarnation: worker.incarnation, rank: 0 }
      const keySpace: KvKeySpace = {
        model: worker.models[0] ?? 'simulated',
        scheme: 'kvfleet',
        blockSize: engine.options.blockSize,
      }
      let sequence = 0
      const underway: KvStreamItem[] = []
      if (engine.stats().prefixCacheQueries > 0) onItem({ type: 'reset', source, reason: 'joined' })
      const unsubscribe = engine.onKvEvents((events, at) => {
        const told = events.flatMap(event => tell(event, source, keySpace))
        const item: KvStreamItem = { type: 'batch', source, sequence: sequence++, publishedAtMs: at, events: told }
        if (delayMs === 0) return onItem(item)
        // Timers of a real clock may swap places; the queue does not.
        underway.push(item)
        clock.schedule(at + delayMs - clock.now(), () => {
          const next = underway.shift()
          if (next !== undefined) onItem(next)
        })
      })
      return {
        sources: 1,
        async close() {
          unsubscribe()
          underway.length = 0
        },
      }
    },
  }
}

function tell(event: SimulatedKvEvent, holder: KvHolder, keySpace: KvKeySpace): KvEvent[] {
  if (event.type === 'cleared') return [{ type: 'cleared', holder }]
  if (event.type === 'removed') return event.copiesLeft ? [] : [{ type: 'removed', holder, medium: 'gpu', hashes: event.hashes }]
  const blocks = event.hashes.length / 2
  const firstOfPrompt = event.parent === undefined
  const extraKeys = firstOfPrompt ? promptExtraKeys({ cacheSalt: event.cacheSalt }, blocks) : undefined
  const run = (from: number, to: number): KvBlocksStored => ({
    type: 'stored',
    holder,
    medium: 'gpu',
    keySpace,
    hashes: event.hashes.subarray(2 * from, 2 * to),
    parent: from === 0 ? event.parent : event.hashes.subarray(2 * from - 2, 2 * from),
    tokens: event.tokens?.subarray(from * keySpace.blockSize, to * keySpace.blockSize),
    ...(extraKeys && { extraKeys: extraKeys.slice(from, to) }),
  })
  if (event.duplicates === undefined) return [run(0, blocks)]
  const runs: KvBlocksStored[] = []
  for (let from = 0; from < blocks; from++) {
    if (event.duplicates[from] === 1) continue
    let to = from + 1
    while (to < blocks && event.duplicates[to] === 0) to++
    runs.push(run(from, to))
    from = to
  }
  return runs
}
