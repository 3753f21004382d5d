import { readFileSync } from 'node:fs'
import { Unpackr } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { Dealer, Subscriber } from 'zeromq'
import { standInProfile } from '../../engine-profile.js'
import { serveSimulatedEngine } from './index.js'

interface Line {
  readonly run: string
  readonly kind: string
  readonly name?: string
  readonly seq?: number
  readonly topic?: string
  readonly payload_hex?: string
  readonly prompt_token_ids?: readonly number[]
  readonly output_token_ids?: readonly number[]
  readonly max_tokens?: number
  readonly extra?: { readonly cache_salt?: string }
  readonly usage?: object & { readonly prompt_tokens_details: object | null }
  readonly reply?: {
    readonly prompt_token_ids?: readonly number[]
    readonly choices?: readonly { readonly token_ids: readonly number[] }[]
  }
}

interface StoredEvent {
  readonly type: string
  readonly block_hashes: readonly (bigint | Uint8Array)[]
  readonly parent_block_hash: bigint | Uint8Array | null
  readonly token_ids: readonly number[]
}

const lines = readFileSync(new URL('../../../test-fixtures/vllm-kv-events.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map(line => JSON.parse(line) as Line)

/** Runs of the other hash algorithms cannot be reproduced here: `sha256` and `xxhash` go over Python pickles. */
const runs = [...new Set(lines.map(({ run }) => run))].filter(run => run.startsWith('sha256_cbor/'))

/** 40 blocks in the captured engines (`num_gpu_blocks`), of which vLLM keeps one aside. */
const KV_BLOCKS = 39

/** [f64 timestamp at the head of a batch, which differs]: one byte of array, one of float, eight of value. */
const TIMESTAMP_HEX = 20

/**
 * The requests of a real vLLM 0.32, sent again over HTTP to the simulated one, must give the same frames byte by byte.
 * Two things differ and are set aside: the timestamps; and the ids that the model generated (request C, whose answer
 * fills two blocks), hence the hashes of those blocks. C's frames are compared without both, and wherever its hashes
 * come back (when the blocks are evicted) the simulated ones stand for the captured ones.
 */
describe.each(runs)('the frames of %s', run => {
  const own = lines.filter(line => line.run === run)
  const captured = own
    .filter(({ kind }) => kind === 'frame')
    .map(({ topic = '', seq, payload_hex = '' }) => ({ topic, seq, payload: payload_hex }))
  const bytes = run.includes('bytes-hashes')
  const blockSize = run.includes('/b128/') ? 128 : 32

  it('come back byte by byte, with their sequence numbers, live and in replay', async () => {
    await using server = await serveSimulatedEngine({
      profile: standInProfile,
      blockSize,
      kvBlocks: KV_BLOCKS,
      timeScale: 20,
      vocabularySize: 512,
      model: 'tiny',
      promptTokensDetails: bytes,
      kvEvents: {
        topic: captured[0]?.topic ?? '',
        hashSeed: run.includes('no-PYTHONHASHSEED') ? 'vllm-none-hash' : '0',
        hashes: bytes ? 'bytes' : 'int',
      },
    })
    const subscriber = new Subscriber({ linger: 0 })
    const dealer = new Dealer({ linger: 0 })
    try {
      subscriber.connect(`tcp://127.0.0.1:${server.kvEventsPort}`)
      subscriber.subscribe('kv-events')
      dealer.connect(`tcp://127.0.0.1:${server.replayPort}`)

      for (const line of own) {
        if (line.kind === 'reset_prefix_cache') {
          const reset = await fetch(`${server.url}/reset_prefix_cache`, { method: 'POST' })
          expect(await reset.json()).toEqual({ success: true })
        }
        // The chat template is not ours: its request goes out as the ids that vLLM made of it.
        const prompt = line.kind === 'chat' ? line.reply?.prompt_token_ids : line.kind === 'request' ? line.prompt_token_ids : undefined
        if (prompt == null) continue
        const maxTokens = line.max_tokens ?? line.reply?.choices?.[0]?.token_ids.length
        const response = await fetch(`${server.url}/v1/completions`, {
          method: 'POST',
          body: JSON.stringify({ model: 'tiny', prompt, max_tokens: maxTokens, ...line.extra }),
        })
        const { usage } = (await response.json()) as Line
        if (line.kind === 'request') expect(usage).toEqual(line.usage)
      }

      const replayed = await replay(dealer, 0)
      expect(replayed.map(({ seq, topic }) => ({ seq, topic }))).toEqual(captured.map(({ seq, topic }) => ({ seq, topic })))
      const live: Frame[] = []
      // The subscription may have missed the first frames: ZMQ connects in the background.
      for await (const [topic, seq, payload] of subscriber) {
        live.push({ topic: String(topic), seq: Number(seq?.readBigUInt64BE()), payload: payload?.toString('hex') ?? '' })
        if (live.at(-1)?.seq === captured.length - 1) break
      }
      expect(live).toEqual(replayed.slice(-live.length))
      expect(await replay(dealer, captured.length - 2)).toEqual(replayed.slice(-2))
      compare(captured, replayed)
    } finally {
      subscriber.close()
      dealer.close()
    }
  })
})

interface Frame {
  readonly topic: string
  readonly seq: number | undefined
  readonly payload: string
}

async function replay(dealer: Dealer, from: number): Promise<Frame[]> {
  const start = Buffer.alloc(8)
  start.writeBigUInt64BE(BigInt(from))
  await dealer.send(['', start])
  const frames: Frame[] = []
  for await (const [, topic, seq, payload] of dealer) {
    if (seq?.toString('hex') === 'ffffffffffffffff') {
      expect([topic?.length, payload?.length]).toEqual([0, 0])
      break
    }
    frames.push({ topic: String(topic), seq: Number(seq?.readBigUInt64BE()), payload: payload?.toString('hex') ?? '' })
  }
  return frames
}

function compare(captured: readonly Frame[], simulated: readonly Frame[]): void {
  const unpack = new Unpackr({ int64AsType: 'bigint', useRecords: false })
  const eventsOf = (payload: string) => (unpack.unpack(Buffer.from(payload, 'hex')) as [number, StoredEvent[], number])[1]
  /** Captured hash of a block with generated ids, in the bytes of the frame, to the simulated one. */
  const generated = new Map<string, string>()
  let generatedFrames = 0
  captured.forEach((frame, index) => {
    const theirs = frame.payload.slice(TIMESTAMP_HEX)
    const ours = (simulated[index] as Frame).payload.slice(TIMESTAMP_HEX)
    if (theirs === ours) return
    const theirEvents = eventsOf(frame.payload)
    const ourEvents = eventsOf((simulated[index] as Frame).payload)
    const renamed = [...generated].reduce((text, [from, to]) => text.replaceAll(from, to), theirs)
    if (renamed === ours) return
    generatedFrames++
    expect(ourEvents.map(mask)).toEqual(theirEvents.map(mask))
    expect(Object.keys(ourEvents[0] ?? {})).toEqual(Object.keys(theirEvents[0] ?? {}))
    theirEvents.forEach((event, at) => {
      event.block_hashes.forEach((hash, block) => {
        generated.set(hexOf(hash), hexOf(ourEvents[at]?.block_hashes[block] as bigint))
      })
      // Known from an earlier frame, or the same in both.
      const parent = event.parent_block_hash
      const ourParent = ourEvents[at]?.parent_block_hash
      if (parent == null) expect(ourParent).toBe(parent)
      else expect(hexOf(ourParent as bigint)).toBe(generated.get(hexOf(parent)) ?? hexOf(parent))
    })
  })
  expect(generatedFrames).toBe(2)
}

function mask(event: StoredEvent): object {
  expect(event.type).toBe('BlockStored')
  return {
    ...event,
    block_hashes: event.block_hashes.length,
    parent_block_hash: event.parent_block_hash !== null,
    token_ids: event.token_ids.length,
  }
}

function hexOf(hash: bigint | Uint8Array): string {
  return typeof hash === 'object' ? Buffer.from(hash).toString('hex') : BigInt(hash).toString(16).padStart(16, '0')
}
