import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type VllmExtraKey, vllmBlockDigest, vllmBlockDigests, vllmBlockHashes, vllmNoneHash } from './vllm.js'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const tokens = Uint32Array.of(1, 2, 3, 4, 5, 6, 7, 8)

describe("vLLM's own vectors", () => {
  it('derives the digest before the first block from the seed', () => {
    expect(hex(vllmNoneHash('0'))).toBe('4e1195df020de59e0d65a33a4279f1183e7ae4e5d980e309f8b55adff2e61c3e')
    expect(hex(vllmNoneHash())).toBe('9bd96a485ad84efdafb72ee48a1d7a69bcead0f8f0433173941b276b9581eef0')
  })

  it('chains blocks of tokens', () => {
    expect(vllmBlockDigests(tokens, 4).map(hex)).toEqual([
      '58d0879dff3800f65f8c5fd449d73048c0f7699dd238a03b84b146b151d55111',
      'e1bc29393a2da9fd798f35ff04d215f846aee6df4b803ce3d43b57df56b58fb1',
    ])
    const [first] = vllmBlockDigests(tokens, 4, { seed: '0' }).map(hex)
    expect(first).toMatch(/^c9d58ba6.*ef071cb$/)
  })

  it('gives the low 64 bits as the hash of an event', () => {
    expect(toBigInt(vllmBlockHashes(tokens, 4))).toEqual([9561501211280363793n, 0xd43b57df56b58fb1n])
    expect(toBigInt(vllmBlockHashes(tokens, 4, { seed: '0' }))[0]).toBe(2164874634404590027n)
  })

  it.each<[string, VllmExtraKey, RegExp]>([
    ['a LoRA adapter', ['lora', 'my-lora', '/p'], /^74f55928.*fd0ad83$/],
    ['a cache salt', ['cache_salt', 's'], /^01466aa5.*84d02$/],
  ])('tags %s', (_, key, expected) => {
    expect(hex(vllmBlockDigest(vllmNoneHash(), tokens.subarray(0, 4), [key]))).toMatch(expected)
  })

  it('hashes only full blocks', () => {
    expect(vllmBlockHashes(tokens.subarray(0, 7), 4)).toHaveLength(2)
    expect(vllmBlockHashes(tokens.subarray(0, 3), 4)).toHaveLength(0)
  })
})

interface Line {
  readonly run: string
  readonly kind: string
  readonly payload_hex?: string
  readonly decoded?: readonly [number, readonly Event[], number]
}
interface Event {
  readonly type: string
  readonly block_hashes?: readonly unknown[]
  readonly token_ids?: readonly number[]
  readonly parent_block_hash?: unknown
  readonly extra_keys?: readonly (readonly string[] | null)[]
  readonly block_size?: number
}

describe('blocks captured from a real vLLM', () => {
  const lines = readFileSync(new URL('../../test-fixtures/vllm-kv-events.jsonl', import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Line)
  const runs = [...new Set(lines.map(line => line.run))].filter(run => run.startsWith('sha256_cbor/'))

  it.each(runs)('all hashes of %s follow from the tokens', run => {
    const seed = run.includes('no-PYTHONHASHSEED') ? 'vllm-none-hash' : '0'
    const digests = new Map<string, Uint8Array>()
    let blocks = 0
    for (const line of lines) {
      if (line.run !== run || line.kind !== 'frame') continue
      // JSON rounds 64-bit integers: the hashes are read from the raw frame instead.
      const raw = line.payload_hex as string
      for (const event of line.decoded?.[1] ?? []) {
        if (event.type !== 'BlockStored') continue
        const { token_ids = [], block_size: blockSize = 0, extra_keys: extraKeys = [] } = event
        let parent = digests.get(JSON.stringify(event.parent_block_hash)) ?? vllmNoneHash(seed)
        event.block_hashes?.forEach((hash, block) => {
          const salt = extraKeys[block]?.[0]
          const own = Uint32Array.from(token_ids.slice(block * blockSize, (block + 1) * blockSize))
          parent = vllmBlockDigest(parent, own, salt === undefined ? undefined : [['cache_salt', salt]])
          digests.set(JSON.stringify(hash), parent)
          const expected = run.includes('bytes-hashes') ? `c420${hex(parent)}` : `cf${hex(parent).slice(-16)}`
          expect(raw).toContain(expected)
          blocks++
        })
      }
    }
    expect(blocks).toBe(run.includes('/b128/') ? 58 : 59)
  })
})

function toBigInt(hashes: Uint32Array): bigint[] {
  return Array.from(
    { length: hashes.length / 2 },
    (_, block) => (BigInt(hashes[2 * block] as number) << 32n) | BigInt(hashes[2 * block + 1] as number),
  )
}
