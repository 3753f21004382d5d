import { errorMessage, KvFleetError } from '../../errors.js'
import { loadZeromq } from '../../kv-events/zeromq/load-zeromq.js'

export interface KvPublisherOptions {
  readonly host: string
  readonly port: number
  readonly replayPort: number
  readonly topic: string
  /** Batches kept for replay. */
  readonly bufferSteps: number
}

export interface KvPublisher {
  readonly port: number
  readonly replayPort: number
  publish(payload: Buffer): void
  close(): Promise<void>
}

/** vLLM's own high-water mark: slow subscribers lose batches beyond it. */
export const HIGH_WATER_MARK = 100_000
const END_OF_REPLAY = Buffer.alloc(8, 0xff)

/**
 * vLLM's publisher on the wire: PUB frames `[topic, sequence, payload]` with an 8-byte big-endian sequence from 0, and a
 * ROUTER that answers `["", first sequence]` with `["", topic, sequence, payload]` for each batch it still has, then
 * `["", "", ff × 8, ""]`.
 */
export async function openKvPublisher({ host, port, replayPort, topic, bufferSteps }: KvPublisherOptions): Promise<KvPublisher> {
  const { Publisher, Router } = await loadZeromq()
  const publisher = new Publisher({ linger: 0, sendHighWaterMark: HIGH_WATER_MARK })
  const replay = new Router({ linger: 0, sendHighWaterMark: 2 * (bufferSteps + 1) })
  try {
    await bind(publisher, host, port)
    await bind(replay, host, replayPort)
  } catch (error) {
    publisher.close()
    replay.close()
    throw error
  }
  const topicFrame = Buffer.from(topic)
  const kept: { readonly sequence: number; readonly frames: readonly [Buffer, Buffer, Buffer] }[] = []
  let next = 0
  let oldest = 0
  let closed = false

  const outbox: (readonly [Buffer, Buffer, Buffer])[] = []
  let sending: Promise<void> | undefined
  const send = async () => {
    while (outbox.length > 0 && !closed) await publisher.send(outbox.shift() as [Buffer, Buffer, Buffer])
    sending = undefined
  }

  const answer = async () => {
    for await (const [identity, , start] of replay) {
      if (identity === undefined || start?.length !== 8) continue
      const from = start.readBigUInt64BE()
      for (const { sequence, frames } of kept.slice(oldest)) {
        if (BigInt(sequence) >= from) await replay.send([identity, '', ...frames])
      }
      await replay.send([identity, '', '', END_OF_REPLAY, ''])
    }
  }
  const answering = answer().catch(ignoreWhenClosed)
  function ignoreWhenClosed(error: unknown): void {
    if (!closed) throw error
  }

  return {
    port: portOf(publisher.lastEndpoint),
    replayPort: portOf(replay.lastEndpoint),
    publish(payload) {
      if (closed) return
      const sequence = Buffer.alloc(8)
      sequence.writeBigUInt64BE(BigInt(next))
      const frames = [topicFrame, sequence, payload] as const
      kept.push({ sequence: next++, frames })
      if (kept.length - oldest > bufferSteps) oldest++
      // Dropped in bulk: shifting a long array each time would cost more.
      if (oldest > bufferSteps) {
        kept.splice(0, oldest)
        oldest = 0
      }
      outbox.push(frames)
      sending ??= send().catch(ignoreWhenClosed)
    },
    async close() {
      closed = true
      publisher.close()
      replay.close()
      await Promise.all([sending, answering])
    },
  }
}

async function bind(socket: { bind(address: string): Promise<void> }, host: string, port: number): Promise<void> {
  try {
    await socket.bind(`tcp://${host}:${port === 0 ? '*' : port}`)
  } catch (error) {
    throw new KvFleetError('LISTEN_FAILED', `simulated engine: cannot publish KV events on ${host}:${port}: ${errorMessage(error)}`, {
      details: { host, port },
      cause: error,
    })
  }
}

function portOf(endpoint: string | null): number {
  return Number(endpoint?.slice(endpoint.lastIndexOf(':') + 1))
}
