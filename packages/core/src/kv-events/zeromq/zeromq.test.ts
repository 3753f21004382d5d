import { connect } from 'node:net'
import { setTimeout as timer } from 'node:timers/promises'
import { pack } from 'msgpackr'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Router, XPublisher } from 'zeromq'
import { systemClock } from '../../clock.js'
import type { EngineAdapter, EngineConnection, KvEventEndpoint } from '../../engine.js'
import { KvFleetError } from '../../errors.js'
import { memoryEngine } from '../../testing/memory-engine.js'
import type { Worker } from '../../worker.js'
import type { KvStreamItem } from '../kv-event.js'
import type { KvEventSubscription } from '../kv-event-source.js'
import { type ZeromqKvEventsOptions, zeromqKvEvents } from './index.js'

const closers: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface PublisherOptions {
  readonly endpoint?: string
  readonly replayEndpoint?: string
  readonly topic?: string
  /** Batches kept for replay. */
  readonly kept?: number
  /** Builds before 0.26 left the topic out of replayed messages. */
  readonly replayWithoutTopic?: boolean
  /** Takes requests for replay and answers none. */
  readonly mute?: boolean
  /** Makes the batches of two publishers differ, as their clocks do. */
  readonly startedAt?: number
}

/** What vLLM's publisher does, with the network's faults in the test's hand. */
async function startPublisher(options: PublisherOptions = {}) {
  const { endpoint = 'tcp://127.0.0.1:*', replayEndpoint = 'tcp://127.0.0.1:*', topic = '', kept = 10_000, startedAt = 1 } = options
  const publisher = new XPublisher({ linger: 0 })
  const router = new Router({ linger: 0 })
  await bind(publisher, endpoint)
  await bind(router, replayEndpoint)
  const log: Buffer[] = []
  const asked: number[] = []
  const number = (sequence: number) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64BE(BigInt(sequence))
    return bytes
  }
  const answer = async () => {
    for await (const [client, , start] of router) {
      if (client === undefined || start === undefined) continue
      const from = Number(start.readBigUInt64BE())
      asked.push(from)
      if (options.mute) continue
      const head = options.replayWithoutTopic ? [client, ''] : [client, '', topic]
      for (let sequence = Math.max(from, log.length - kept); sequence < log.length; sequence++) {
        await router.send([...head, number(sequence), log[sequence] as Buffer])
      }
      await router.send([...(options.replayWithoutTopic ? [client, ''] : [client, '', '']), number(-1), ''])
    }
  }
  const answering = answer()
  /** Resolves with the first subscription: what is sent from then on arrives. */
  const subscribed = publisher.receive().then(
    () => {},
    () => {},
  )
  let open = true
  const close = async () => {
    if (!open) return
    open = false
    publisher.close()
    router.close()
    await answering
  }
  closers.push(close)
  return {
    endpoint: publisher.lastEndpoint as string,
    replayEndpoint: router.lastEndpoint as string,
    asked,
    /** Publishes one batch that stores one block; `early`: nobody is there to receive it; `lost`: it never reaches the wire. */
    async publish({ lost = false, early = false, payload }: { lost?: boolean; early?: boolean; payload?: Buffer } = {}) {
      if (!early) await subscribed
      const sequence = log.length
      const event = {
        type: 'BlockStored',
        block_hashes: [sequence + 1],
        parent_block_hash: null,
        token_ids: [1, 2],
        block_size: 2,
        lora_id: null,
      }
      const bytes = payload ?? pack([startedAt + sequence / 1000, [event], 0])
      log.push(bytes)
      if (!lost) await publisher.send([topic, number(sequence), bytes])
    },
    async sendRaw(parts: (string | Buffer)[]) {
      await subscribed
      await publisher.send(parts)
    },
    close,
  }
}

/** A closed socket's address is free a moment later. */
async function bind(socket: XPublisher | Router, endpoint: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await socket.bind(endpoint)
    } catch (error) {
      if (attempt === 100) throw error
      await timer(20)
    }
  }
}

type Double = Awaited<ReturnType<typeof startPublisher>>

interface Opened {
  readonly subscription: KvEventSubscription
  /** `0` for a batch, by number, `gap` for a reset. */
  readonly told: string[]
  readonly items: KvStreamItem[]
  readonly problems: Error[]
  until(...told: string[]): Promise<void>
  problem(): Promise<Error>
}

async function open(
  endpoints: readonly KvEventEndpoint[],
  options?: ZeromqKvEventsOptions,
  signal = new AbortController().signal,
): Promise<Opened> {
  const told: string[] = []
  const items: KvStreamItem[] = []
  const problems: Error[] = []
  let changed = () => {}
  const change = () =>
    new Promise<void>(resolve => {
      changed = resolve
    })
  const engine: EngineAdapter = { name: 'double', health: async () => {}, kvEventEndpoints: async () => endpoints }
  const connection: EngineConnection = { url: 'http://127.0.0.1:1', headers: {}, fetch, clock: systemClock, signal }
  const worker = { id: 'a', incarnation: 3, models: ['m'], dataParallelRanks: 1, engine } as unknown as Worker
  const subscription = await zeromqKvEvents(options).open(worker, {
    connection,
    clock: systemClock,
    onItem(item) {
      items.push(item)
      told.push(item.type === 'batch' ? String(item.sequence) : item.reason)
      changed()
    },
    onProblem(problem) {
      problems.push(problem)
      changed()
    },
  })
  closers.push(() => subscription.close())
  return {
    subscription,
    told,
    items,
    problems,
    async until(...expected) {
      while (told.length < expected.length) await change()
      expect(told).toEqual(expected)
    },
    async problem() {
      while (problems.length === 0) await change()
      return problems[0] as Error
    },
  }
}

const endpointOf = (
  { endpoint, replayEndpoint }: Pick<Double, 'endpoint' | 'replayEndpoint'>,
  fields: Partial<KvEventEndpoint> = {},
): KvEventEndpoint => ({
  rank: 0,
  wire: 'vllm',
  endpoint,
  replayEndpoint,
  topic: '',
  ...fields,
})
const withoutReplay = ({ endpoint }: Double): KvEventEndpoint => ({ rank: 0, wire: 'vllm', endpoint, topic: '' })

/** ZeroMQ closes listening sockets in a thread of its own, some time after `close` has returned. */
async function refusesConnections(endpoint: string | undefined): Promise<void> {
  const port = Number(new URL(endpoint ?? '').port)
  const accepted = () =>
    new Promise<boolean>(resolve => {
      const socket = connect(port, '127.0.0.1', () => resolve(true))
      socket.once('error', () => resolve(false)).once('connect', () => socket.destroy())
    })
  await expect.poll(accepted).toBe(false)
}

describe('KV events over ZeroMQ', { timeout: 20_000 }, () => {
  it('has no sources where the engine publishes none', async () => {
    const { subscription } = await open([])
    expect(subscription.sources).toBe(0)
    const connection = { url: '', headers: {}, fetch, clock: systemClock, signal: new AbortController().signal }
    const worker = { engine: memoryEngine() } as unknown as Worker
    const none = await zeromqKvEvents().open(worker, { connection, clock: systemClock, onItem: () => {}, onProblem: () => {} })
    expect(none.sources).toBe(0)
  })

  it('gives what was published before and after, with its holder and key space', async () => {
    const publisher = await startPublisher()
    await publisher.publish({ early: true })
    const opened = await open([endpointOf(publisher, { rank: 1, model: 'other' })])
    expect(opened.told).toEqual(['0'])
    await publisher.publish()
    await opened.until('0', '1')
    expect(opened.items[0]).toEqual({
      type: 'batch',
      source: { kind: 'worker', workerId: 'a', incarnation: 3, rank: 1 },
      sequence: 0,
      publishedAtMs: 1000,
      events: [
        {
          type: 'stored',
          holder: { kind: 'worker', workerId: 'a', incarnation: 3, rank: 1 },
          medium: 'gpu',
          keySpace: { model: 'other', scheme: 'vllm', blockSize: 2 },
          hashes: Uint32Array.of(0, 1),
          parent: undefined,
          tokens: Uint32Array.of(1, 2),
        },
      ],
    })
    expect(publisher.asked).toEqual([0])
  })

  it.each([
    ['with the topic', false],
    ['without the topic, as older builds answer', true],
  ])('fetches lost batches from a replay %s', async (_, replayWithoutTopic) => {
    const publisher = await startPublisher({ replayWithoutTopic, topic: 'kv' })
    const opened = await open([endpointOf(publisher, { topic: 'kv' })])
    await publisher.publish()
    await opened.until('0')
    await publisher.publish({ lost: true })
    await publisher.publish({ lost: true })
    await publisher.publish()
    await opened.until('0', '1', '2', '3')
    await publisher.publish()
    await opened.until('0', '1', '2', '3', '4')
    expect(publisher.asked).toEqual([0, 0])
    expect(opened.problems).toEqual([])
  })

  it('says joined when the history is longer than what the publisher keeps', async () => {
    const publisher = await startPublisher({ kept: 2 })
    for (let count = 0; count < 5; count++) await publisher.publish({ early: true })
    const opened = await open([endpointOf(publisher)])
    await opened.until('joined', '3', '4')
  })

  it('says gap when lost batches are no longer kept', async () => {
    const publisher = await startPublisher({ kept: 2 })
    const opened = await open([endpointOf(publisher)])
    await publisher.publish()
    await opened.until('0')
    for (let count = 0; count < 3; count++) await publisher.publish({ lost: true })
    await publisher.publish()
    await opened.until('0', 'gap', '3', '4')
  })

  it('says gap, and joined, at once when there is no replay', async () => {
    const publisher = await startPublisher()
    await publisher.publish({ early: true })
    const opened = await open([withoutReplay(publisher)])
    await publisher.publish()
    await opened.until('joined', '1')
    await publisher.publish({ lost: true })
    await publisher.publish()
    await opened.until('joined', '1', 'gap', '3')
  })

  it('goes on with a reset when the replay does not answer', async () => {
    const publisher = await startPublisher({ mute: true })
    const opened = await open([endpointOf(publisher)], { replayTimeoutMs: 50 })
    expect(opened.problems[0]).toMatchObject({ code: 'ENGINE_UNREACHABLE', message: expect.stringContaining(publisher.replayEndpoint) })
    await publisher.publish()
    await opened.until('0')
    await publisher.publish({ lost: true })
    await publisher.publish()
    await opened.until('0', 'gap', '2')
    expect(opened.problems).toHaveLength(2)
  })

  it('follows an engine that restarts on the same ports, and starts over with it', async () => {
    const first = await startPublisher({ startedAt: 1 })
    const opened = await open([endpointOf(first)])
    for (let count = 0; count < 3; count++) await first.publish()
    await opened.until('0', '1', '2')
    await first.close()
    // It has stored a block before anybody can be connected again.
    const second = await startPublisher({ startedAt: 2, endpoint: first.endpoint, replayEndpoint: first.replayEndpoint })
    await second.publish({ early: true })
    await opened.until('0', '1', '2', 'restart', '0')
    await second.publish()
    await opened.until('0', '1', '2', 'restart', '0', '1')
    expect(opened.items.at(-2)).toMatchObject({ publishedAtMs: 2000 })
  })

  it('notices a restart without replay when numbers go back', async () => {
    const first = await startPublisher({ startedAt: 1 })
    const opened = await open([withoutReplay(first)])
    await first.publish()
    await first.publish()
    await opened.until('0', '1')
    // Two publishers on one subscription would number like this.
    await first.sendRaw(['', Buffer.alloc(8), pack([9, [{ type: 'AllBlocksCleared' }], 0])])
    await opened.until('0', '1', 'restart', '0')
  })

  it('keeps ranks apart', async () => {
    const [zero, one] = [await startPublisher(), await startPublisher()]
    const opened = await open([endpointOf(zero), endpointOf(one, { rank: 1 })])
    expect(opened.subscription.sources).toBe(2)
    await zero.publish()
    await opened.until('0')
    await one.publish()
    await opened.until('0', '0')
    expect(opened.items.map(({ source }) => source)).toMatchObject([{ rank: 0 }, { rank: 1 }])
  })

  it('loses one batch that cannot be read, tells it, and goes on', async () => {
    const publisher = await startPublisher()
    const opened = await open([endpointOf(publisher)])
    await publisher.publish({ payload: Buffer.of(0xc1) })
    await publisher.publish()
    await opened.until('1')
    expect(opened.problems).toMatchObject([{ code: 'KV_EVENT_MALFORMED' }])
  })

  it('tells of messages that are none of ours and of event types it does not know, once', async () => {
    const publisher = await startPublisher()
    const opened = await open([endpointOf(publisher)])
    await publisher.sendRaw(['', 'short', ''])
    expect(await opened.problem()).toMatchObject({ code: 'KV_EVENT_MALFORMED', message: expect.stringContaining('8 bytes') })
    for (let count = 0; count < 2; count++) await publisher.publish({ payload: pack([count, [{ type: 'BlockPinned' }], 0]) })
    await opened.until('0', '1')
    expect(opened.problems).toHaveLength(2)
    expect(opened.problems[1]).toMatchObject({ message: expect.stringContaining('BlockPinned') })
  })

  it('does not hold up a join when nobody publishes, and finds the publisher later', async () => {
    const probe = await startPublisher()
    const { endpoint, replayEndpoint } = probe
    await probe.close()
    await Promise.all([endpoint, replayEndpoint].map(refusesConnections))
    const opened = await open([endpointOf({ endpoint, replayEndpoint })], { connectTimeoutMs: 50 })
    expect(opened.problems).toMatchObject([{ code: 'ENGINE_UNREACHABLE', details: { endpoint } }])
    const publisher = await startPublisher({ endpoint, replayEndpoint })
    await publisher.publish({ early: true })
    await opened.until('0')
  })

  it('says closed and then nothing more', async () => {
    const publisher = await startPublisher()
    const opened = await open([endpointOf(publisher)])
    await publisher.publish()
    await opened.until('0')
    await opened.subscription.close()
    await opened.subscription.close()
    await publisher.publish()
    const other = await open([endpointOf(publisher)])
    await other.until('0', '1')
    expect(opened.told).toEqual(['0', 'closed'])
  })

  it('stops opening when the caller aborts, and leaves nothing open', async () => {
    const publisher = await startPublisher({ mute: true })
    const controller = new AbortController()
    const opening = open([endpointOf(publisher)], {}, controller.signal)
    await vi.waitFor(() => expect(publisher.asked).toEqual([0]))
    controller.abort()
    await expect(opening).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(open([endpointOf(publisher)], {}, AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('refuses a wire that nobody can read, and options it does not know', async () => {
    const publisher = await startPublisher()
    await expect(open([endpointOf(publisher, { wire: 'other' })])).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { wire: 'other' },
    })
    expect(() => zeromqKvEvents({ replayTimeoutMS: 5 } as ZeromqKvEventsOptions)).toThrow(/did you mean "replayTimeoutMs"/)
    expect(() => zeromqKvEvents({ codecs: [{ name: 'x' }] } as unknown as ZeromqKvEventsOptions)).toThrow(KvFleetError)
  })

  it('reads a wire of the host with a codec of the host', async () => {
    const publisher = await startPublisher()
    const codec = { name: 'own', decode: () => ({ publishedAtMs: 7, events: [], unknownTypes: [], malformed: [] }) }
    const opened = await open([endpointOf(publisher, { wire: 'own' })], { codecs: [codec] })
    await publisher.publish()
    await opened.until('0')
    expect(opened.items[0]).toMatchObject({ publishedAtMs: 7 })
  })
})
