/** A stream whose events are longer than this is no event stream that is worth waiting for. */
const MAX_HELD_BYTES = 1024 * 1024
const NEWLINE = 10
const CARRIAGE_RETURN = 13

/**
 * Lets the bytes of an event stream pass event by event, so that an error can follow as an event of its own wherever the
 * stream breaks off. Engines send whole events, so that nearly every chunk passes as it is.
 */
export class WholeEvents {
  #held: Uint8Array | undefined

  /** What may be passed on now; undefined while an event is incomplete. */
  push(chunk: Uint8Array): Uint8Array | undefined {
    if (this.#held === undefined && endsAnEvent(chunk)) return chunk
    const bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk])
    const end = bytes.length > MAX_HELD_BYTES ? bytes.length : endOfLastEvent(bytes)
    this.#held = end === bytes.length ? undefined : bytes.subarray(end)
    return end === 0 ? undefined : bytes.subarray(0, end)
  }

  /** What is left when the stream ends by itself. */
  rest(): Uint8Array | undefined {
    const held = this.#held
    this.#held = undefined
    return held
  }
}

/** An event ends with an empty line. */
function endsAnEvent(bytes: Uint8Array, end = bytes.length): boolean {
  if (bytes[end - 1] !== NEWLINE) return false
  return bytes[end - 2] === NEWLINE || (bytes[end - 2] === CARRIAGE_RETURN && bytes[end - 3] === NEWLINE)
}

function endOfLastEvent(bytes: Uint8Array): number {
  for (let at = bytes.lastIndexOf(NEWLINE); at > 0; at = bytes.lastIndexOf(NEWLINE, at - 1)) {
    if (endsAnEvent(bytes, at + 1)) return at + 1
  }
  return 0
}
