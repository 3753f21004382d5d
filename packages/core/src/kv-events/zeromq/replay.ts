import type { Clock, ScheduledCall } from '../../clock.js'
import { KvFleetError, toKvFleetError } from '../../errors.js'
import { readFrame, replayRequest } from './frames.js'
import type { ZeroMq } from './load-zeromq.js'

export interface ReplayOptions {
  readonly zeromq: ZeroMq
  readonly clock: Clock
  readonly endpoint: string
  /** Gives up when nothing comes for so long. */
  readonly timeoutMs: number
  readonly from: number
  readonly onBatch: (sequence: number, payload: Uint8Array) => void
  /** Exactly once, unless cancelled first. `problem` says why it is not complete. */
  readonly onEnd: (complete: boolean, problem?: KvFleetError) => void
}

export interface Replay {
  /** No call comes after this one. */
  cancel(): void
}

/**
 * Asks a publisher for its batches from `from` on. Each replay has a socket of its own: a new identity keeps late
 * answers to an older question from mixing in, and an idle subscriber holds no connection.
 */
export function startReplay({ zeromq, clock, endpoint, timeoutMs, from, onBatch, onEnd }: ReplayOptions): Replay {
  let dealer: InstanceType<ZeroMq['Dealer']> | undefined
  let timer: ScheduledCall | undefined
  let ended = false

  const end = () => {
    ended = true
    timer?.cancel()
    dealer?.close()
  }
  const finish = (complete: boolean, problem?: KvFleetError) => {
    if (ended) return
    end()
    onEnd(complete, problem)
  }
  const giveUp = () =>
    finish(
      false,
      new KvFleetError('ENGINE_UNREACHABLE', `KV event replay from ${endpoint}: no answer within ${timeoutMs} ms`, {
        details: { endpoint, timeoutMs },
        retryable: true,
      }),
    )
  const wait = () => {
    timer?.cancel()
    timer = clock.schedule(timeoutMs, giveUp, { background: true })
  }

  const run = async () => {
    // The publisher's ROUTER drops what does not fit the queue, so ours has no bound; it ends with the replay.
    dealer = new zeromq.Dealer({ linger: 0, receiveHighWaterMark: 0, ipv6: endpoint.includes('[') })
    dealer.connect(endpoint)
    wait()
    await dealer.send(replayRequest(from))
    for await (const parts of dealer) {
      const frame = readFrame(parts)
      if (ended) return
      if (frame === 'end') return finish(true)
      wait()
      onBatch(frame.sequence, frame.payload)
    }
  }
  run().catch((error: unknown) => finish(false, toKvFleetError(error, 'ENGINE_UNREACHABLE', `KV event replay from ${endpoint}`)))

  return {
    cancel() {
      if (!ended) end()
    },
  }
}
