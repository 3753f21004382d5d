import { malformed } from '../codecs/wire-values.js'

export interface SequencedFrame {
  readonly sequence: number
  readonly payload: Uint8Array
}

/**
 * A live message `[topic, sequence, payload]`, or one of a replay: `['', topic, sequence, payload]`, in older builds
 * without the topic. Only the last two parts count. Throws KV_EVENT_MALFORMED.
 */
export function readFrame(parts: readonly Uint8Array[]): SequencedFrame | 'end' {
  const payload = parts.at(-1)
  const number = parts.at(-2)
  if (payload === undefined || number === undefined) throw malformed('message', 'at least two parts')
  if (number.length !== 8) throw malformed('sequence', '8 bytes')
  const view = new DataView(number.buffer, number.byteOffset, 8)
  const high = view.getUint32(0)
  const low = view.getUint32(4)
  // -1 marks the end of a replay.
  if (high === 0xffff_ffff && low === 0xffff_ffff) return 'end'
  const sequence = high * 2 ** 32 + low
  if (!Number.isSafeInteger(sequence)) throw malformed('sequence', 'a number below 2^53')
  return { sequence, payload }
}

/** What a DEALER sends to a publisher's ROUTER: an empty delimiter and the first number wanted. */
export function replayRequest(sequence: number): Buffer[] {
  const number = Buffer.alloc(8)
  number.writeBigUInt64BE(BigInt(sequence))
  return [Buffer.alloc(0), number]
}
