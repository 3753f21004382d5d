import type { Sequence } from './sequence.js'

/**
 * How many steps a batch of decoding sequences can take before anything else than a token each happens: one of them
 * ends, fills a block or needs one. The step that is already scheduled counts; its blocks are allocated.
 */
export function stepsUntilChange(batch: readonly Sequence[], blockSize: number): number {
  let steps = Number.POSITIVE_INFINITY
  for (let index = 0; index < batch.length; index++) {
    const sequence = batch[index] as Sequence
    const left = sequence.maxTokens - sequence.outputs
    // The step that fills the block must be scheduled for itself, and so must the one after it, which needs a new block.
    const untilFull = blockSize - 1 - (sequence.computed % blockSize)
    steps = Math.min(steps, left, Math.max(1, untilFull))
  }
  return steps
}
