import { Unpackr } from 'msgpackr'
import { errorMessage, KvFleetError } from '../../errors.js'
import type { DecodedKvBatch, DecodedKvEvent } from './codec.js'
import { malformed } from './wire-values.js'

/** An event by its field names, whichever generation it came in. */
export type WireEvent = Readonly<Record<string, unknown>>

/** How one engine writes its events. */
export interface TaggedDialect {
  /** Field names behind the tag, in the order of the generation that wrote arrays; those may end early. */
  readonly fields: Readonly<Record<string, readonly string[]>>
  /** Undefined for an event without meaning to us. Throws KV_EVENT_MALFORMED. */
  read(type: string, event: WireEvent): DecodedKvEvent | undefined
}

/** 64-bit integers stay BigInt: hashes use all of them. */
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'bigint' })

/**
 * The batch that vLLM and SGLang share: msgpack `[timestamp in s, [event, …], rank?]`, each event a map with its
 * `type` or, in older builds, an array that starts with it.
 */
export function decodeTaggedBatch(payload: Uint8Array, dialect: TaggedDialect): DecodedKvBatch {
  let batch: unknown
  try {
    batch = unpackr.unpack(payload)
  } catch (error) {
    throw new KvFleetError('KV_EVENT_MALFORMED', `KV event batch: not msgpack: ${errorMessage(error)}`, {
      details: { bytes: payload.length },
    })
  }
  if (!Array.isArray(batch)) throw malformed('batch', 'an array')
  const [timestamp, list] = batch as readonly unknown[]
  if (typeof timestamp !== 'number' || !Number.isFinite(timestamp)) throw malformed('batch timestamp', 'seconds')
  if (!Array.isArray(list)) throw malformed('batch events', 'an array')

  const events: DecodedKvEvent[] = []
  const unknownTypes: string[] = []
  const failures: KvFleetError[] = []
  for (const item of list as readonly unknown[]) {
    try {
      const { type, event } = named(item, dialect)
      if (event === undefined) {
        unknownTypes.push(type.slice(0, 64))
        continue
      }
      const decoded = dialect.read(type, event)
      if (decoded !== undefined) events.push(decoded)
    } catch (error) {
      if (!KvFleetError.is(error)) throw error
      failures.push(error)
    }
  }
  return { publishedAtMs: timestamp * 1000, events, unknownTypes, malformed: failures }
}

/** The event's type and its fields by name; no fields for a type that the dialect does not know. */
function named(item: unknown, { fields }: TaggedDialect): { type: string; event?: WireEvent } {
  if (Array.isArray(item)) {
    const [type, ...values] = item as readonly unknown[]
    if (typeof type !== 'string') throw malformed('type', 'a string')
    const names = Object.hasOwn(fields, type) ? fields[type] : undefined
    return names === undefined ? { type } : { type, event: Object.fromEntries(names.map((name, index) => [name, values[index]])) }
  }
  if (typeof item !== 'object' || item === null) throw malformed('event', 'a map or an array')
  const event = item as WireEvent
  if (typeof event.type !== 'string') throw malformed('type', 'a string')
  return Object.hasOwn(fields, event.type) ? { type: event.type, event } : { type: event.type }
}
