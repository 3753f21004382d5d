import type { KvResetReason } from './kv-event.js'
import { createSeenBatches, sameBatch } from './seen-batches.js'

export interface OrderedStreamOptions {
  /** Each batch once, in order of sequence, without a hole except right after a reset. */
  readonly onBatch: (sequence: number, payload: Uint8Array) => void
  /** Everything delivered before is void. */
  readonly onReset: (reason: Exclude<KvResetReason, 'closed'>) => void
  /**
   * Asks the publisher for its kept batches from `sequence` on. What comes back goes to `replayed`, then
   * `replayEnded`; a call while a replay runs replaces it, and the replaced one's batches must not arrive any more.
   * Left out: the transport has no replay.
   */
  readonly requestReplay?: (sequence: number) => void
  /** Live batches kept while a replay runs; more are let go and asked for again. */
  readonly maxHeldBytes: number
}

/**
 * Puts one publisher's numbered batches in order: live ones, which may be lost, and replayed ones, which fill the
 * gaps. Pure: it does no I/O and knows no time. Payloads are opaque; two batches with one number are told apart by
 * their first bytes and length, which holds for wires that begin with a timestamp.
 *
 * - Gap: live batches are held and the missing ones asked for. What the publisher no longer has is told as a reset.
 * - Restart: a number comes again with another content, or the publisher knows less than it had said.
 * - Join: the history from 0 on is asked for; a reset `joined` says that part of it is gone.
 */
export interface OrderedStream {
  /** The subscription is live: asks for the history. */
  start(): void
  /** The connection was lost and is back: asks whether it is still the same publisher. */
  reconnected(): void
  live(sequence: number, payload: Uint8Array): void
  replayed(sequence: number, payload: Uint8Array): void
  /** The running replay ended; `complete` when the publisher said so, false when it broke off or never answered. */
  replayEnded(complete: boolean): void
  /** True while a replay runs. */
  readonly replaying: boolean
}

interface Replay {
  /** Asked because live batches showed a hole. */
  readonly forGap: boolean
  /** Nothing has come yet. */
  first: boolean
  /** How many batches it brought that were new. */
  delivered: number
  /** It left one out on the way, so the rest is of no use. */
  broken: boolean
}

export function createOrderedStream({ onBatch, onReset, requestReplay, maxHeldBytes }: OrderedStreamOptions): OrderedStream {
  const seen = createSeenBatches()
  /** The next number to deliver. */
  let next = 0
  /** Whether anything was delivered since the start or the last restart. */
  let learnt = false
  /** False from a reconnect on until something shows that the publisher is still the same. */
  let verified = true
  let replay: Replay | undefined
  const held = new Map<number, Uint8Array>()
  let heldBytes = 0
  let lastHeld = -1
  /** Live batches came that there was no room for. */
  let letGo = false

  const deliver = (sequence: number, payload: Uint8Array) => {
    seen.add(sequence, payload)
    next = sequence + 1
    learnt = true
    onBatch(sequence, payload)
  }

  /** Goes on at `sequence` without what came before. */
  const skipTo = (sequence: number) => {
    onReset(learnt ? 'gap' : 'joined')
    seen.clear()
    next = sequence
    verified = true
  }

  const releaseHeld = () => {
    held.clear()
    heldBytes = 0
    lastHeld = -1
    letGo = false
  }

  const hold = (sequence: number, payload: Uint8Array) => {
    if (heldBytes + payload.length > maxHeldBytes) {
      letGo = true
      return
    }
    held.set(sequence, payload)
    heldBytes += payload.length
    lastHeld = sequence
  }

  const askFor = (from: number, forGap: boolean) => {
    replay = { forGap, first: true, delivered: 0, broken: false }
    requestReplay?.(from)
  }

  /** The last delivered batch comes along, to see that it is still the same publisher. */
  const askForMissing = (forGap: boolean) => askFor(Math.max(0, next - 1), forGap)

  const restart = () => {
    if (learnt) onReset('restart')
    seen.clear()
    releaseHeld()
    next = 0
    learnt = false
    verified = true
    replay = undefined
  }

  /** The publisher turned out to be another one while it answered: all that it has published is in its answer to this. */
  const startOver = () => {
    restart()
    askFor(0, false)
  }

  const live = (sequence: number, payload: Uint8Array): void => {
    if (sequence < next ? seen.compare(sequence, payload) === 'same' : isHeld(sequence, payload)) return
    if (sequence < next || sequence <= lastHeld) {
      restart()
      return live(sequence, payload)
    }
    if (replay !== undefined) return hold(sequence, payload)
    if (sequence > next || !verified) {
      if (requestReplay !== undefined) {
        hold(sequence, payload)
        return askForMissing(true)
      }
      skipTo(sequence)
    }
    deliver(sequence, payload)
  }

  const isHeld = (sequence: number, payload: Uint8Array) => {
    const other = held.get(sequence)
    return other !== undefined && sameBatch(other, payload)
  }

  /** Delivers what was held, up to the first hole. */
  const drainHeld = (mayAsk: boolean) => {
    for (const [sequence, payload] of held) {
      if (sequence < next) {
        if (seen.compare(sequence, payload) === 'other') return startOver()
      } else {
        if (sequence > next || !verified) {
          if (mayAsk) return askForMissing(true)
          skipTo(sequence)
        }
        deliver(sequence, payload)
      }
      held.delete(sequence)
      heldBytes -= payload.length
    }
    const more = letGo
    releaseHeld()
    if (more) askForMissing(false)
  }

  return {
    get replaying() {
      return replay !== undefined
    },
    start() {
      if (requestReplay !== undefined && replay === undefined) askForMissing(false)
    },
    reconnected() {
      if (requestReplay === undefined) return
      verified = !learnt
      // They may come from a publisher that is gone; one that is still there has them for the replay.
      releaseHeld()
      askForMissing(false)
    },
    live,
    replayed(sequence, payload) {
      if (replay === undefined || replay.broken) return
      const { first } = replay
      replay.first = false
      if (sequence < next) {
        if (seen.compare(sequence, payload) !== 'same') return startOver()
        verified = true
        return
      }
      if (first && (learnt || sequence > next)) {
        // The last delivered batch is no longer kept: nothing shows that these follow it.
        skipTo(sequence)
      } else if (sequence > next) {
        // Lost on the way, so it can be had again.
        replay.broken = true
        return
      }
      deliver(sequence, payload)
      replay.delivered++
    },
    replayEnded(complete) {
      if (replay === undefined) return
      const { forGap, first, delivered, broken } = replay
      replay = undefined
      // A publisher keeps its last batch: one that has nothing from there on is another one.
      if (complete && first && learnt) return startOver()
      if (broken && delivered > 0) return askForMissing(forGap)
      // What was known to be missing when the publisher was asked, and did not come, is gone.
      drainHeld(delivered > 0 || (complete && !forGap))
    },
  }
}
