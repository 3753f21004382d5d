import { type BlockHashes, KvFleetError } from '@kvfleet/core'
import { chainBlockHashes } from '@kvfleet/core/block-hashes'
import { defaults } from '../defaults.js'
import type { Trace, TraceRequest } from './trace.js'

export interface PromptTokenOptions {
  /** Ids are below this. Default: 32,000. */
  readonly vocabularySize?: number
}

/**
 * The ids of a request's prompt, made from (block id, position): equal block ids give equal tokens. Unequal ones differ
 * from their first two tokens on (those spell the id in base `vocabularySize`), so no chance match lends a prefix.
 * In a trace without block ids every request is a prompt of its own.
 */
export function promptTokenIds(
  request: TraceRequest,
  trace: Trace,
  { vocabularySize = defaults.vocabularySize }: PromptTokenOptions = {},
): Uint32Array {
  const tokens = new Uint32Array(request.promptTokens)
  writePrompt(tokens, request, trace, vocabularySize)
  return tokens
}

/** The router's and the simulated engine's hash chain over a request's full blocks of `blockSize` tokens. */
export function promptBlockHashes(request: TraceRequest, trace: Trace, blockSize: number, options: PromptTokenOptions = {}): BlockHashes {
  return chainBlockHashes(promptTokenIds(request, trace, options), blockSize)
}

/** The hash chains of a whole trace, computed once for many runs over it. */
export interface TraceBlockHashes {
  readonly blockSize: number
  /** A view into one arena; not to be written to. */
  hashes(index: number): BlockHashes
  /** Size of the arena. */
  readonly bytes: number
}

export function traceBlockHashes(
  trace: Trace,
  blockSize: number,
  { vocabularySize = defaults.vocabularySize }: PromptTokenOptions = {},
): TraceBlockHashes {
  const starts = new Float64Array(trace.requests.length + 1)
  let longest = 0
  for (const [index, { promptTokens }] of trace.requests.entries()) {
    starts[index + 1] = (starts[index] as number) + 2 * Math.floor(promptTokens / blockSize)
    longest = Math.max(longest, promptTokens)
  }
  const arena = new Uint32Array(starts[trace.requests.length] as number)
  const scratch = new Uint32Array(longest)
  for (const [index, request] of trace.requests.entries()) {
    const tokens = scratch.subarray(0, request.promptTokens)
    writePrompt(tokens, request, trace, vocabularySize)
    arena.set(chainBlockHashes(tokens, blockSize), starts[index] as number)
  }
  return {
    blockSize,
    bytes: arena.byteLength,
    hashes(index) {
      if (index < 0 || index >= trace.requests.length) throw new KvFleetError('INTERNAL', `no request ${index} in trace ${trace.name}`)
      return arena.subarray(starts[index], starts[index + 1])
    },
  }
}

function writePrompt(tokens: Uint32Array, request: TraceRequest, trace: Trace, vocabularySize: number): void {
  if (trace.blockTokens === 0 || request.blockIds.length === 0) return writeBlock(tokens, 0, tokens.length, request.index, vocabularySize)
  for (let block = 0; block < request.blockIds.length; block++) {
    const start = block * trace.blockTokens
    writeBlock(tokens, start, Math.min(start + trace.blockTokens, tokens.length), request.blockIds[block] as number, vocabularySize)
  }
}

function writeBlock(tokens: Uint32Array, start: number, end: number, id: number, vocabularySize: number): void {
  let state = Math.imul(id + 1, 0x9e3779b1)
  for (let index = start; index < end; index++) {
    // A multiplicative congruential step, its high half scaled to the vocabulary: cheap, and nothing here needs more.
    state = (Math.imul(state, 0x0019660d) + 0x3c6ef35f) | 0
    tokens[index] = ((state >>> 16) * vocabularySize) >>> 16
  }
  if (start < end) tokens[start] = id % vocabularySize
  if (start + 1 < end) tokens[start + 1] = Math.floor(id / vocabularySize) % vocabularySize
}
