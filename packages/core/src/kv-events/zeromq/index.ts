import * as v from 'valibot'
import { zeromqKvEventDefaults as defaults } from '../../defaults.js'
import type { KvEventEndpoint } from '../../engine.js'
import { KvFleetError, toKvFleetError } from '../../errors.js'
import { parseOptions } from '../../options.js'
import type { KvEventCodec } from '../codecs/codec.js'
import { sglangCodec, vllmCodec } from '../codecs/index.js'
import type { KvEventSource, KvEventSourceContext } from '../kv-event-source.js'
import { type EndpointReader, readEndpoint } from './endpoint-reader.js'
import { loadZeromq } from './load-zeromq.js'

export interface ZeromqKvEventsOptions {
  /** More wires, or others for `vllm` and `sglang`, found by name. */
  readonly codecs?: readonly KvEventCodec[]
  /** A replay ends when nothing comes for so long. */
  readonly replayTimeoutMs?: number
  /** How long a worker's join waits for its publisher; it is tried on after that. */
  readonly connectTimeoutMs?: number
  /** Live batches kept, per rank, while missed ones are fetched. */
  readonly maxHeldBytes?: number
}

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0))
const codecSchema = v.custom<KvEventCodec>(
  value =>
    typeof value === 'object' &&
    value !== null &&
    typeof (value as KvEventCodec).decode === 'function' &&
    typeof (value as KvEventCodec).name === 'string',
  'must be a KvEventCodec: name and decode()',
)
const optionsSchema = v.optional(
  v.strictObject({
    codecs: v.optional(v.array(codecSchema), []),
    replayTimeoutMs: v.optional(positive, defaults.replayTimeoutMs),
    connectTimeoutMs: v.optional(positive, defaults.connectTimeoutMs),
    maxHeldBytes: v.optional(positive, defaults.maxHeldBytes),
  }),
  {},
)

/**
 * KV events over ZeroMQ, as vLLM and SGLang publish them: one publisher a rank, with the replay of missed batches
 * where the engine offers it. Needs the optional peer `zeromq`.
 */
export function zeromqKvEvents(options?: ZeromqKvEventsOptions): KvEventSource {
  const settings = parseOptions('zeromqKvEvents', optionsSchema, options)
  const codecs = new Map([vllmCodec(), sglangCodec(), ...settings.codecs].map(codec => [codec.name, codec]))

  const open: KvEventSource['open'] = async (worker, context) => {
    const { connection } = context
    const endpoints = (await worker.engine.kvEventEndpoints?.(connection)) ?? []
    if (endpoints.length === 0) return { sources: 0, close: async () => {} }
    const wires = endpoints.map(endpoint => codecOf(codecs, endpoint))
    const zeromq = await loadZeromq()
    if (connection.signal.aborted) throw toKvFleetError(connection.signal.reason, 'ABORTED', 'KV events')

    const readers: EndpointReader[] = []
    const close = async () => {
      await Promise.all(readers.map(reader => reader.close()))
    }
    try {
      for (const [index, endpoint] of endpoints.entries()) {
        const reader = readEndpoint({
          ...settings,
          zeromq,
          endpoint,
          codec: wires[index] as KvEventCodec,
          clock: context.clock,
          holder: { kind: 'worker', workerId: worker.id, incarnation: worker.incarnation, rank: endpoint.rank },
          model: endpoint.model ?? worker.models[0] ?? '',
          onItem: context.onItem,
          onProblem: context.onProblem,
        })
        readers.push(reader)
      }
      await untilReady(readers, context)
    } catch (error) {
      await close()
      throw error
    }
    return { sources: readers.length, close }
  }
  return { name: 'zeromq', open }
}

function codecOf(codecs: ReadonlyMap<string, KvEventCodec>, { wire, rank }: KvEventEndpoint): KvEventCodec {
  const codec = codecs.get(wire)
  if (codec !== undefined) return codec
  const known = [...codecs.keys()]
  throw new KvFleetError(
    'OPTION_INVALID',
    `zeromqKvEvents: rank ${rank} publishes the wire "${wire}", expected one of ${known.join(', ')} or a codec of this name`,
    {
      details: { field: 'codecs', wire, known },
    },
  )
}

async function untilReady(readers: readonly EndpointReader[], { connection: { signal } }: KvEventSourceContext): Promise<void> {
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(toKvFleetError(signal.reason, 'ABORTED', 'KV events'))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    await Promise.race([Promise.all(readers.map(reader => reader.ready)), aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
