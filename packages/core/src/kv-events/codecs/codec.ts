import type { KvFleetError } from '../../errors.js'
import type { KvEvent, KvHolder } from '../kv-event.js'

/** What the frames themselves do not say. */
export interface KvDecodeContext {
  readonly holder: KvHolder
  readonly model: string
}

/**
 * Models with several kinds of attention keep one group of KV blocks per kind, all under the same hashes. Removals
 * name their group only by number.
 */
export interface KvCacheGroup {
  readonly index: number
  /** Whether the group's blocks stand for a whole prefix (full attention); undefined where the event does not say. */
  readonly wholePrefix: boolean | undefined
}

export interface DecodedKvEvent {
  readonly event: KvEvent
  /** Undefined where the engine has one group only, or does not tell. */
  readonly group: KvCacheGroup | undefined
}

export interface DecodedKvBatch {
  /** The publisher's clock, epoch milliseconds. */
  readonly publishedAtMs: number
  readonly events: readonly DecodedKvEvent[]
  /** Types of events that the codec does not know; those events are left out. */
  readonly unknownTypes: readonly string[]
  /** One KV_EVENT_MALFORMED for each event that could not be read; those events are left out. */
  readonly malformed: readonly KvFleetError[]
}

/**
 * Reads one wire of one engine. Pure: what has to be remembered between batches (duplicates, cache groups) is the
 * stream's business, so a codec may be shared and may be given batches in any order.
 */
export interface KvEventCodec {
  /** As in `KvEventEndpoint.wire`. */
  readonly name: string
  /** Throws KV_EVENT_MALFORMED when nothing of the payload can be read. */
  decode(payload: Uint8Array, context: KvDecodeContext): DecodedKvBatch
}
