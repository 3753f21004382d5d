import type { Clock } from '../../clock.js'
import { zeromqKvEventDefaults as defaults } from '../../defaults.js'
import type { KvEventEndpoint } from '../../engine.js'
import { KvFleetError, toKvFleetError } from '../../errors.js'
import type { KvEventCodec } from '../codecs/codec.js'
import type { KvHolder, KvStreamItem } from '../kv-event.js'
import { createKvEventStream } from '../kv-event-stream.js'
import { readFrame } from './frames.js'
import type { ZeroMq } from './load-zeromq.js'
import { type Replay, startReplay } from './replay.js'

export interface EndpointReaderOptions {
  readonly zeromq: ZeroMq
  readonly clock: Clock
  readonly endpoint: KvEventEndpoint
  readonly holder: KvHolder
  readonly model: string
  readonly codec: KvEventCodec
  readonly replayTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly maxHeldBytes: number
  readonly onItem: (item: KvStreamItem) => void
  readonly onProblem: (problem: Error) => void
}

export interface EndpointReader {
  /** Settles when the history is in, or when it is clear that it will not come soon; never rejects. */
  readonly ready: Promise<void>
  close(): Promise<void>
}

/** Reads one rank: a SUB socket for what comes, a DEALER per question about what was missed. */
export function readEndpoint(options: EndpointReaderOptions): EndpointReader {
  const { zeromq, clock, endpoint, onProblem } = options
  const { replayEndpoint } = endpoint
  let replay: Replay | undefined
  let connected = false
  let markReady = () => {}
  const ready = new Promise<void>(resolve => {
    markReady = resolve
  })

  const stream = createKvEventStream({
    holder: options.holder,
    model: options.model,
    codec: options.codec,
    maxHeldBytes: options.maxHeldBytes,
    onItem: options.onItem,
    onProblem,
    ...(replayEndpoint === undefined ? {} : { requestReplay: (from: number) => ask(replayEndpoint, from) }),
  })

  const ask = (address: string, from: number) => {
    replay?.cancel()
    replay = startReplay({
      zeromq,
      clock,
      endpoint: address,
      timeoutMs: options.replayTimeoutMs,
      from,
      onBatch: stream.replayed,
      onEnd(complete, problem) {
        replay = undefined
        if (problem !== undefined) onProblem(problem)
        stream.replayEnded(complete)
        if (!stream.replaying) markReady()
      },
    })
  }

  const subscriber = new zeromq.Subscriber({
    linger: 0,
    receiveHighWaterMark: defaults.receiveHighWaterMark,
    tcpKeepalive: 1,
    tcpKeepaliveIdle: defaults.keepaliveIdleS,
    tcpKeepaliveInterval: defaults.keepaliveIntervalS,
    tcpKeepaliveCount: defaults.keepaliveProbes,
    ipv6: endpoint.endpoint.includes('['),
  })
  const patience = clock.schedule(
    options.connectTimeoutMs,
    () => {
      const message = `KV events at ${endpoint.endpoint}: no connection within ${options.connectTimeoutMs} ms; still trying`
      onProblem(
        new KvFleetError('ENGINE_UNREACHABLE', message, { details: { endpoint: endpoint.endpoint, rank: endpoint.rank }, retryable: true }),
      )
      markReady()
    },
    { background: true },
  )
  // The subscription travels right behind the handshake; asking for the history only then leaves no time between.
  subscriber.events.on('handshake', () => {
    patience.cancel()
    if (connected) return stream.reconnected()
    connected = true
    stream.start()
    if (!stream.replaying) markReady()
  })

  const run = async () => {
    subscriber.connect(endpoint.endpoint)
    subscriber.subscribe(endpoint.topic)
    for await (const parts of subscriber) {
      try {
        const frame = readFrame(parts)
        if (frame !== 'end') stream.live(frame.sequence, frame.payload)
      } catch (error) {
        onProblem(toKvFleetError(error, 'KV_EVENT_MALFORMED', `KV events at ${endpoint.endpoint}`))
      }
    }
  }
  let closing = false
  const ended = run().catch((error: unknown) => {
    if (!closing) onProblem(toKvFleetError(error, 'ENGINE_UNREACHABLE', `KV events at ${endpoint.endpoint}`))
    patience.cancel()
    markReady()
  })

  return {
    ready,
    async close() {
      if (!closing) {
        closing = true
        stream.close()
        patience.cancel()
        replay?.cancel()
        subscriber.close()
        markReady()
      }
      await ended
    },
  }
}
