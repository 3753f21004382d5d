import type { KvFleetError } from '@kvfleet/core'
import type { DispatchResponse, Relay, ResponseSink } from './dispatcher.js'

/** What may wait for the reader before the engine's connection is paused. */
const MAX_WAITING_BYTES = 256 * 1024

/**
 * Turns a relay into a response whose body is a web stream: its reader's pace is the engine's, cancelling it cancels the
 * relay. A reader that never comes back does not hold the relay for ever: the relay limits its pauses (`bodyTimeoutMs`) and
 * breaks off. `reasonOf` words what a failure rejects with.
 */
export function streamedResponse(
  begin: (sink: ResponseSink) => Relay,
  reasonOf: (error: KvFleetError) => unknown = error => error,
): Promise<DispatchResponse> {
  return new Promise((resolve, reject) => {
    let relay: Relay | undefined
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined
    const body = new ReadableStream<Uint8Array>(
      {
        start(started) {
          controller = started
        },
        pull: () => relay?.resume(),
        cancel: () => relay?.cancel(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: MAX_WAITING_BYTES }),
    )
    relay = begin({
      start: head => resolve({ ...head, body }),
      write(chunk) {
        controller?.enqueue(chunk)
        return (controller?.desiredSize ?? 0) > 0
      },
      end: () => controller?.close(),
      fail(error) {
        const reason = reasonOf(error)
        reject(reason)
        controller?.error(reason)
      },
    })
  })
}
