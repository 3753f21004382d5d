import { KvFleetError, toKvFleetError } from '../errors.js'
import type { DecodedKvBatch, KvDecodeContext, KvEventCodec } from './codecs/codec.js'
import { createDuplicateCounter } from './duplicate-counter.js'
import type { KvStreamItem } from './kv-event.js'
import { createOrderedStream, type OrderedStream } from './ordered-stream.js'

export interface KvEventStreamOptions extends KvDecodeContext {
  readonly codec: KvEventCodec
  readonly onItem: (item: KvStreamItem) => void
  readonly onProblem: (problem: Error) => void
  /** See `OrderedStreamOptions`. */
  readonly requestReplay?: (sequence: number) => void
  readonly maxHeldBytes: number
}

/**
 * What one publisher sends, end to end: ordered, decoded, with duplicates counted. A transport feeds it frames; the
 * host gets KvStreamItems. A batch that cannot be read is told as a problem and left out; the rest goes on.
 */
export interface KvEventStream extends OrderedStream {
  /** Tells the consumer that nothing more will come and nothing learnt holds any longer. */
  close(): void
}

export function createKvEventStream(options: KvEventStreamOptions): KvEventStream {
  const { holder, codec, onItem, onProblem } = options
  const duplicates = createDuplicateCounter()
  const told = new Set<string>()
  let closed = false

  const tellUnknown = (types: readonly string[]) => {
    for (const type of types) {
      // A broken publisher could make up names without end.
      if (told.has(type) || told.size === MOST_TOLD) continue
      told.add(type)
      onProblem(
        new KvFleetError(
          'KV_EVENT_MALFORMED',
          `KV event: type: expected one that the ${codec.name} wire has, got "${type}"; events of this type are left out`,
          {
            details: { type, wire: codec.name },
          },
        ),
      )
    }
  }

  const stream = createOrderedStream({
    maxHeldBytes: options.maxHeldBytes,
    ...(options.requestReplay === undefined ? {} : { requestReplay: options.requestReplay }),
    onBatch(sequence, payload) {
      let batch: DecodedKvBatch
      try {
        batch = codec.decode(payload, options)
      } catch (error) {
        return onProblem(toKvFleetError(error, 'KV_EVENT_MALFORMED', `KV event batch ${sequence}`))
      }
      tellUnknown(batch.unknownTypes)
      for (const problem of batch.malformed) onProblem(problem)
      onItem({ type: 'batch', source: holder, sequence, publishedAtMs: batch.publishedAtMs, events: duplicates.apply(batch.events) })
    },
    onReset(reason) {
      duplicates.reset()
      onItem({ type: 'reset', source: holder, reason })
    },
  })

  /** Transports may still have a frame in hand when they close. */
  const unlessClosed =
    <A extends unknown[]>(call: (...args: A) => void) =>
    (...args: A) => {
      if (!closed) call(...args)
    }

  return {
    get replaying() {
      return stream.replaying
    },
    start: unlessClosed(stream.start),
    reconnected: unlessClosed(stream.reconnected),
    live: unlessClosed(stream.live),
    replayed: unlessClosed(stream.replayed),
    replayEnded: unlessClosed(stream.replayEnded),
    close: unlessClosed(() => {
      closed = true
      duplicates.reset()
      onItem({ type: 'reset', source: holder, reason: 'closed' })
    }),
  }
}

const MOST_TOLD = 16
