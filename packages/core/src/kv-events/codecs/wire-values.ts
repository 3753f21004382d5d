import { KvFleetError } from '../../errors.js'
import type { BlockHashes, KvMedium } from '../kv-event.js'

/** Throwing this while reading an event costs that event. */
export function malformed(field: string, expectation: string): KvFleetError {
  return new KvFleetError('KV_EVENT_MALFORMED', `KV event: ${field}: expected ${expectation}`, {
    details: { field, expected: expectation },
  })
}

/** Writes a hash (64-bit integer of either sign, or a digest, cut to its last 8 bytes) as two words at `at`. */
function writeHash(hash: unknown, out: Uint32Array, bytes: DataView, at: number, field: string): void {
  if (typeof hash === 'bigint') {
    // Through the output's own bytes: no BigInt is made, and the order of words is the same on every machine.
    bytes.setBigUint64(4 * at, hash)
    const high = bytes.getUint32(4 * at)
    out[at + 1] = bytes.getUint32(4 * at + 4)
    out[at] = high
  } else if (typeof hash === 'number' && Number.isSafeInteger(hash)) {
    // Small values travel as short integers; floor keeps the words of negative ones in two's complement.
    out[at] = Math.floor(hash / 2 ** 32)
    out[at + 1] = hash
  } else if (hash instanceof Uint8Array && hash.length >= 8) {
    const tail = new DataView(hash.buffer, hash.byteOffset + hash.length - 8, 8)
    out[at] = tail.getUint32(0)
    out[at + 1] = tail.getUint32(4)
  } else throw malformed(field, 'a 64-bit integer or at least 8 bytes')
}

export function readHashes(value: unknown, field: string): BlockHashes {
  if (!Array.isArray(value)) throw malformed(field, 'a list of hashes')
  const hashes = new Uint32Array(2 * value.length)
  const bytes = new DataView(hashes.buffer)
  for (let index = 0; index < value.length; index++) writeHash(value[index], hashes, bytes, 2 * index, field)
  return hashes
}

export function readParent(value: unknown, field: string): BlockHashes | undefined {
  if (value == null) return undefined
  const parent = new Uint32Array(2)
  writeHash(value, parent, new DataView(parent.buffer), 0, field)
  return parent
}

/** Token ids; undefined for none. Speculative decoding with pairs of tokens sends [token, next]: the first one counts. */
export function readTokens(value: unknown, field: string): Uint32Array | undefined {
  if (value == null) return undefined
  if (!Array.isArray(value)) throw malformed(field, 'a list of token ids')
  if (value.length === 0) return undefined
  const tokens = new Uint32Array(value.length)
  for (let index = 0; index < value.length; index++) {
    const item: unknown = value[index]
    const token: unknown = Array.isArray(item) ? item[0] : item
    if (typeof token !== 'number' || token < 0 || token > 0xffff_ffff || !Number.isInteger(token))
      throw malformed(field, 'unsigned 32-bit token ids')
    tokens[index] = token
  }
  return tokens
}

/** Names of both vLLM and SGLang; no name means the device. */
const MEDIUMS: Readonly<Record<string, KvMedium>> = {
  GPU: 'gpu',
  CPU: 'cpu',
  CPU_PINNED: 'cpu',
  STORAGE: 'disk',
  DISK: 'disk',
  EXTERNAL: 'remote',
}

/** Blocks that the publisher calls remote are not on this machine, whatever they lie on. */
export function readMedium(medium: unknown, locality: unknown): KvMedium {
  if (locality === 'REMOTE') return 'remote'
  if (medium == null) return 'gpu'
  const known = typeof medium === 'string' && Object.hasOwn(MEDIUMS, medium.toUpperCase()) ? MEDIUMS[medium.toUpperCase()] : undefined
  if (known === undefined) throw malformed('medium', `one of ${Object.keys(MEDIUMS).join(', ')}`)
  return known
}

/** A value of the wire as JSON can hold it: bytes in hex, big integers in decimal. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString('hex')
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return value.map(plain)
  return value
}
