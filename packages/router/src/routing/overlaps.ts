import type { BlockHashes } from '@kvfleet/core'
import { chainBlockHashes, promptExtraKeys } from '@kvfleet/core/block-hashes'
import type { PrefixIndex } from '../router.js'
import type { RoutingRequest } from '../routing-request.js'
import type { BlockSizeGroup, CandidatePool } from './candidate-pool.js'

/** Leading blocks by position in the pool; undefined when nothing can be looked up for this request. */
export function matchPrefixes(index: PrefixIndex | undefined, request: RoutingRequest, pool: CandidatePool): readonly number[] | undefined {
  if (index === undefined) return undefined
  let blocks: number[] | undefined
  for (const group of pool.groups) {
    const hashes = requestHashes(request, group.blockSize)
    if (hashes === undefined) continue
    blocks ??= new Array<number>(pool.candidates.length).fill(0)
    spread(index, hashes, group, blocks)
  }
  return blocks
}

function spread(index: PrefixIndex, hashes: BlockHashes, group: BlockSizeGroup, blocks: number[]): void {
  const matched = index.match({ hashes, blockSize: group.blockSize }, group.holders)
  for (let at = 0; at < matched.length; at++) blocks[group.positions[at] as number] = matched[at] as number
}

function requestHashes(request: RoutingRequest, blockSize: number): BlockHashes | undefined {
  const { tokens, blockHashes, lora, cacheSalt } = request
  if (blockHashes?.blockSize === blockSize) return blockHashes.hashes
  if (tokens === undefined) return undefined
  const extraKeys = promptExtraKeys({ lora, cacheSalt }, Math.floor(tokens.length / blockSize))
  return chainBlockHashes(tokens, blockSize, extraKeys === undefined ? {} : { extraKeys })
}

/** An engine computes at least the last prompt token, so never all of the prompt. */
export function overlapTokens(blocks: number, blockSize: number, promptTokens: number): number {
  return Math.max(0, Math.min(blocks * blockSize, promptTokens - 1))
}
