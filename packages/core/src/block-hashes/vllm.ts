import { createHash } from 'node:crypto'
import type { BlockHashes } from '../kv-events/kv-event.js'

/** What besides tokens goes into a block's hash, tagged as vLLM tags it (its events carry the untagged forms). */
export type VllmExtraKey =
  | readonly ['lora', name: string, path: string]
  | readonly ['mm', identifier: string, offset: number]
  | readonly ['cache_salt', salt: string]
  | readonly ['prompt_embeds', digest: Uint8Array]

export interface VllmChainOptions {
  /** PYTHONHASHSEED of the engine. Default: `vllm-none-hash`, vLLM's own when the variable is not set. */
  readonly seed?: string
  /** Per block, in vLLM's order: lora, mm, cache_salt (first block only), prompt_embeds. */
  readonly extraKeys?: readonly (readonly VllmExtraKey[] | undefined)[]
}

const DIGEST_BYTES = 32
const DEFAULT_SEED = 'vllm-none-hash'

/** The digest that stands for the block before the first one: SHA-256 over the CBOR text of the seed. */
export function vllmNoneHash(seed: string = DEFAULT_SEED): Uint8Array {
  const encoder = new CborEncoder()
  encoder.text(seed)
  return encoder.sha256()
}

/**
 * vLLM's `sha256_cbor` digest of one full block: SHA-256 over canonical CBOR of
 * `[parent digest, [token, …], null | [[tag, …], …]]`. `parent` is a whole digest, never the 64 bits of an event.
 */
export function vllmBlockDigest(parent: Uint8Array, tokens: Uint32Array, extraKeys?: readonly VllmExtraKey[]): Uint8Array {
  const encoder = new CborEncoder(2 * DIGEST_BYTES + 5 * tokens.length)
  encoder.array(3)
  encoder.bytes(parent)
  encoder.array(tokens.length)
  for (let index = 0; index < tokens.length; index++) encoder.integer(tokens[index] as number)
  if (extraKeys === undefined || extraKeys.length === 0) encoder.null()
  else {
    encoder.array(extraKeys.length)
    for (const key of extraKeys) {
      encoder.array(key.length)
      for (const part of key) {
        if (typeof part === 'string') encoder.text(part)
        else if (typeof part === 'number') encoder.integer(part)
        else encoder.bytes(part)
      }
    }
  }
  return encoder.sha256()
}

/** The chained digests of all full blocks. */
export function vllmBlockDigests(tokens: Uint32Array, blockSize: number, { seed, extraKeys }: VllmChainOptions = {}): Uint8Array[] {
  let parent = vllmNoneHash(seed)
  return Array.from({ length: Math.floor(tokens.length / blockSize) }, (_, block) => {
    parent = vllmBlockDigest(parent, tokens.subarray(block * blockSize, (block + 1) * blockSize), extraKeys?.[block])
    return parent
  })
}

/** The hashes as vLLM's events carry them: the last 8 bytes of each digest, as two words. */
export function vllmBlockHashes(tokens: Uint32Array, blockSize: number, options: VllmChainOptions = {}): BlockHashes {
  const digests = vllmBlockDigests(tokens, blockSize, options)
  const hashes = new Uint32Array(2 * digests.length)
  digests.forEach((digest, block) => {
    const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
    hashes[2 * block] = view.getUint32(DIGEST_BYTES - 8)
    hashes[2 * block + 1] = view.getUint32(DIGEST_BYTES - 4)
  })
  return hashes
}

/** RFC 8949 section 4.2 for what the chain needs: shortest integers, definite lengths. */
class CborEncoder {
  #buffer: Buffer
  #length = 0

  constructor(expectedBytes = 64) {
    this.#buffer = Buffer.allocUnsafe(expectedBytes + 32)
  }

  integer(value: number): void {
    if (value < 0) this.#head(1, -1 - value)
    else this.#head(0, value)
  }

  bytes(value: Uint8Array): void {
    this.#head(2, value.length)
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
  }

  text(value: string): void {
    const length = Buffer.byteLength(value)
    this.#head(3, length)
    this.#reserve(length)
    this.#length += this.#buffer.write(value, this.#length)
  }

  array(length: number): void {
    this.#head(4, length)
  }

  null(): void {
    this.#reserve(1)
    this.#buffer[this.#length++] = 0xf6
  }

  sha256(): Uint8Array {
    return createHash('sha256').update(this.#buffer.subarray(0, this.#length)).digest()
  }

  #head(major: number, value: number): void {
    this.#reserve(9)
    const buffer = this.#buffer
    const type = major << 5
    if (value < 24) buffer[this.#length++] = type | value
    else if (value < 0x100) {
      buffer[this.#length++] = type | 24
      buffer[this.#length++] = value
    } else if (value < 0x10000) {
      buffer[this.#length++] = type | 25
      this.#length = buffer.writeUInt16BE(value, this.#length)
    } else if (value < 0x1_0000_0000) {
      buffer[this.#length++] = type | 26
      this.#length = buffer.writeUInt32BE(value, this.#length)
    } else {
      buffer[this.#length++] = type | 27
      this.#length = buffer.writeBigUInt64BE(BigInt(value), this.#length)
    }
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(2 * this.#buffer.length + bytes)
    larger.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = larger
  }
}
