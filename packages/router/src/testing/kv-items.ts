import type { KvStreamItem, Worker } from '@kvfleet/core'
import { chainBlockHashes } from '@kvfleet/core/block-hashes'

/** The worker says that it holds the first blocks of the prompt; all full ones unless told. */
export function holds(worker: Worker, prompt: Uint32Array, blocks = Math.floor(prompt.length / worker.blockSize), rank = 0): KvStreamItem {
  const holder = { kind: 'worker' as const, workerId: worker.id, incarnation: worker.incarnation, rank }
  const { blockSize } = worker
  const hashes = chainBlockHashes(prompt.subarray(0, blocks * blockSize), blockSize)
  const keySpace = { model: 'm', scheme: 'kvfleet', blockSize }
  return {
    type: 'batch',
    source: holder,
    sequence: 0,
    publishedAtMs: 0,
    events: [{ type: 'stored', holder, medium: 'gpu', keySpace, hashes, parent: undefined, tokens: undefined }],
  }
}
