import { chainBlockHashes, promptExtraKeys } from '../../block-hashes/chain64.js'
import { KvFleetError } from '../../errors.js'
import type { BlockHashes } from '../../kv-events/kv-event.js'
import type { SimulatedEngineOptions, SimulatedRequest, SimulatedRequestListener, SimulatedResult } from './engine.js'
import { type IdSource, idsOfHashes, idsOfPrompt, TokenChain } from './tokens.js'

/** One request inside the engine. Plain fields: the scheduler touches every running one in every step. */
export class Sequence {
  readonly promptLength: number
  readonly maxTokens: number
  readonly submittedAt: number
  readonly #request: SimulatedRequest
  readonly #listener: SimulatedRequestListener
  readonly #blockSize: number
  readonly #ids: IdSource
  readonly #promptIdsKnown: boolean

  /** Hashes of full blocks, two words each, of which the first `hashedBlocks` are known so far. */
  readonly hashes: Uint32Array
  hashedBlocks: number
  /** The physical blocks, of which the first `blockCount` are allocated and the first `cachedBlocks` are hittable. */
  readonly table: Int32Array
  blockCount = 0
  cachedBlocks = 0

  /** Tokens whose KV is computed. */
  computed = 0
  outputs = 0
  /** Tokens to compute before the request decodes: its prompt, and after a preemption what it had produced too. */
  prefillTarget = 0
  /** Tokens of the step in flight. */
  scheduled = 0

  preemptions = 0
  cachedTokens = 0
  scheduledAt: number | undefined
  firstTokenAt: number | undefined
  finish: SimulatedResult['finish'] | undefined

  /** Tokens of the last step or jump that the listener has not been told of. */
  #undelivered = 0
  #runFirstAt = 0
  #runIntervalMs = 0
  #runIntervalGrowthMs = 0

  constructor(request: SimulatedRequest, listener: SimulatedRequestListener, options: Required<SimulatedEngineOptions>, now: number) {
    const { prompt } = request
    checkRequest(request, options.blockSize)
    this.#request = request
    this.#listener = listener
    this.#blockSize = options.blockSize
    this.#promptIdsKnown = prompt instanceof Uint32Array
    this.promptLength = prompt.length
    this.maxTokens = request.maxTokens
    this.submittedAt = now
    this.prefillTarget = prompt.length
    // The last output token is never computed: nothing follows it.
    const mostTokens = this.promptLength + this.maxTokens - 1
    const promptBlocks = Math.floor(this.promptLength / options.blockSize)
    this.hashes = new Uint32Array(2 * Math.floor(mostTokens / options.blockSize))
    this.hashedBlocks = promptBlocks
    this.table = new Int32Array(Math.ceil(mostTokens / options.blockSize))
    const chain = new TokenChain(options.seed, options.vocabularySize)
    if (prompt instanceof Uint32Array) {
      const extraKeys = promptExtraKeys({ cacheSalt: request.cacheSalt }, promptBlocks)
      this.hashes.set(chainBlockHashes(prompt, options.blockSize, extraKeys === undefined ? {} : { extraKeys }))
      this.#ids = idsOfPrompt(prompt, chain)
    } else {
      this.hashes.set(prompt.blockHashes)
      this.#ids = idsOfHashes(prompt, promptBlocks * options.blockSize, request.id, chain)
    }
  }

  get tokens(): number {
    return this.promptLength + this.outputs
  }

  get cacheSalt(): string | undefined {
    return this.#request.cacheSalt
  }

  /** Continues the hash chain over generated tokens until `blocks` blocks have hashes. */
  hashThrough(blocks: number): void {
    if (blocks <= this.hashedBlocks) return
    const from = this.hashedBlocks
    const ids = this.#ids.slice(from * this.#blockSize, blocks * this.#blockSize)
    const parent = from === 0 ? undefined : this.hashes.subarray(2 * from - 2, 2 * from)
    const extraKeys = from === 0 ? promptExtraKeys({ cacheSalt: this.cacheSalt }, blocks) : undefined
    const chain = chainBlockHashes(ids, this.#blockSize, { ...(parent && { parent }), ...(extraKeys && { extraKeys }) })
    this.hashes.set(chain, 2 * from)
    this.hashedBlocks = blocks
  }

  blockHashes(from: number, to: number): BlockHashes {
    return this.hashes.subarray(2 * from, 2 * to)
  }

  /** Ids of whole blocks; undefined when the prompt was given by its hashes. */
  blockTokens(from: number, to: number): Uint32Array | undefined {
    return this.#promptIdsKnown ? this.#ids.slice(from * this.#blockSize, to * this.#blockSize) : undefined
  }

  /** `steps` steps gave a token each. */
  produced(steps: number, firstAt: number, lastAt: number, intervalGrowthMs: number): void {
    this.outputs += steps
    this.firstTokenAt ??= firstAt
    this.#undelivered = steps
    this.#runFirstAt = firstAt
    this.#runIntervalMs = steps > 1 ? (lastAt - firstAt) / (steps - 1) : 0
    this.#runIntervalGrowthMs = steps > 2 ? intervalGrowthMs : 0
  }

  deliver(): void {
    const count = this.#undelivered
    if (count === 0) return
    this.#undelivered = 0
    const end = this.promptLength + this.outputs
    this.#listener.onTokens({
      count,
      firstAt: this.#runFirstAt,
      intervalMs: this.#runIntervalMs,
      intervalGrowthMs: this.#runIntervalGrowthMs,
      tokens: this.#listener.wantsTokens ? this.#ids.slice(end - count, end) : undefined,
    })
  }

  deliverEnd(finish: SimulatedResult['finish'], endedAt: number): void {
    this.#listener.onEnd({
      id: this.#request.id,
      finish,
      promptTokens: this.promptLength,
      cachedTokens: this.cachedTokens,
      outputTokens: this.outputs,
      submittedAt: this.submittedAt,
      scheduledAt: this.scheduledAt,
      firstTokenAt: this.firstTokenAt,
      endedAt,
      preemptions: this.preemptions,
    })
  }
}

function checkRequest({ prompt, maxTokens }: SimulatedRequest, blockSize: number): void {
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) throw invalid('maxTokens', maxTokens, 'a whole number of at least 1')
  if (!Number.isSafeInteger(prompt.length) || prompt.length < 1) throw invalid('prompt.length', prompt.length, 'at least 1 token')
  if (prompt instanceof Uint32Array) return
  const words = 2 * Math.floor(prompt.length / blockSize)
  if (prompt.blockHashes.length !== words) {
    throw invalid('prompt.blockHashes.length', prompt.blockHashes.length, `${words}: two words for each full block of ${blockSize} tokens`)
  }
}

function invalid(field: string, received: unknown, expected: string): KvFleetError {
  return new KvFleetError('REQUEST_INVALID', `simulated request: ${field}: expected ${expected}, got ${String(received)}`, {
    details: { field, received, expected },
  })
}
