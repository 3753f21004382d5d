import type { IncomingMessage } from 'node:http'
import { KvFleetError } from '@kvfleet/core'

/** Rejects with REQUEST_INVALID (answered 413) past `maxBytes`, with ABORTED when the client leaves before the end. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const tooLarge = () => {
      const details = { field: 'body', maxBytes, httpStatus: 413 }
      reject(new KvFleetError('REQUEST_INVALID', `body: expected at most ${maxBytes} bytes`, { details }))
    }
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
      // Read on and dropped: a client that is still sending would not see an answer on a closed connection.
      request.resume()
      return tooLarge()
    }
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= maxBytes) chunks.push(chunk)
      else {
        chunks.length = 0
        tooLarge()
      }
    })
    request.on('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)))
    request.on('close', () => {
      if (!request.complete) reject(new KvFleetError('ABORTED', 'the client left before its request was whole'))
    })
    request.on('error', cause => reject(new KvFleetError('ABORTED', 'the client left before its request was whole', { cause })))
  })
}
