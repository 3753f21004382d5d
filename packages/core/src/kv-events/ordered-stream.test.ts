import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createOrderedStream, type OrderedStream } from './ordered-stream.js'

/** A batch's content names its publisher and its number, so that what a consumer got can be told apart. */
function batch(incarnation: number, sequence: number, bytes = 12): Uint8Array {
  const payload = new Uint8Array(bytes)
  new DataView(payload.buffer).setUint32(0, incarnation)
  new DataView(payload.buffer).setUint32(4, sequence)
  return payload
}

interface Consumer {
  readonly stream: OrderedStream
  /** `incarnation.sequence`, and resets, in order. */
  readonly got: string[]
  readonly asked: number[]
}

function consume({ replay = true, maxHeldBytes = 1 << 20 } = {}): Consumer {
  const got: string[] = []
  const asked: number[] = []
  const stream = createOrderedStream({
    maxHeldBytes,
    onBatch(sequence, payload) {
      const view = new DataView(payload.buffer, payload.byteOffset)
      expect(view.getUint32(4)).toBe(sequence)
      got.push(`${view.getUint32(0)}.${sequence}`)
    },
    onReset: reason => void got.push(reason),
    ...(replay ? { requestReplay: (sequence: number) => void asked.push(sequence) } : {}),
  })
  return { stream, got, asked }
}

const live = ({ stream }: Consumer, ...sequences: number[]) => {
  for (const sequence of sequences) stream.live(sequence, batch(1, sequence))
}
const replayed = ({ stream }: Consumer, sequences: readonly number[], complete = true, incarnation = 1) => {
  for (const sequence of sequences) stream.replayed(sequence, batch(incarnation, sequence))
  stream.replayEnded(complete)
}

describe('an ordered stream', () => {
  it('asks for the history when it starts and puts live batches behind it', () => {
    const consumer = consume()
    consumer.stream.start()
    live(consumer, 2, 3)
    expect(consumer.got).toEqual([])
    replayed(consumer, [0, 1, 2])
    live(consumer, 4)
    expect(consumer.asked).toEqual([0])
    expect(consumer.got).toEqual(['1.0', '1.1', '1.2', '1.3', '1.4'])
  })

  it('follows a publisher from its first batch', () => {
    const consumer = consume()
    consumer.stream.start()
    replayed(consumer, [])
    live(consumer, 0, 1)
    expect(consumer).toMatchObject({ got: ['1.0', '1.1'], asked: [0] })
  })

  it('says joined when the publisher no longer has its first batches', () => {
    const consumer = consume()
    consumer.stream.start()
    replayed(consumer, [5, 6])
    expect(consumer.got).toEqual(['joined', '1.5', '1.6'])
  })

  it('says joined when there is no replay and the first batch is not the first', () => {
    const consumer = consume({ replay: false })
    consumer.stream.start()
    live(consumer, 3, 4)
    expect(consumer.got).toEqual(['joined', '1.3', '1.4'])
  })

  it('asks again at the first live batch when the first replay failed', () => {
    const consumer = consume()
    consumer.stream.start()
    replayed(consumer, [], false)
    live(consumer, 2)
    replayed(consumer, [0, 1, 2])
    expect(consumer).toMatchObject({ got: ['1.0', '1.1', '1.2'], asked: [0, 0] })
  })

  it('asks once more for what got lost behind the back of a replay', () => {
    const consumer = consume()
    consumer.stream.start()
    live(consumer, 1)
    replayed(consumer, [])
    expect(consumer).toMatchObject({ got: [], asked: [0, 0] })
    replayed(consumer, [0, 1])
    expect(consumer.got).toEqual(['1.0', '1.1'])
  })

  it('fills a gap from the last batch on, which shows that the publisher is still the same', () => {
    const consumer = consume()
    live(consumer, 0, 1, 5, 6)
    expect(consumer).toMatchObject({ got: ['1.0', '1.1'], asked: [1] })
    replayed(consumer, [1, 2, 3, 4, 5])
    expect(consumer.got).toEqual(['1.0', '1.1', '1.2', '1.3', '1.4', '1.5', '1.6'])
  })

  it('says gap when the publisher no longer has what is missing', () => {
    const consumer = consume()
    live(consumer, 0, 9)
    replayed(consumer, [7, 8, 9])
    expect(consumer.got).toEqual(['1.0', 'gap', '1.7', '1.8', '1.9'])
  })

  it.each([
    ['the replay fails', true],
    ['there is no replay', false],
  ])('says gap when %s', (_, replay) => {
    const consumer = consume({ replay })
    live(consumer, 0, 2)
    if (replay) replayed(consumer, [], false)
    expect(consumer.got).toEqual(['1.0', 'gap', '1.2'])
  })

  it('asks again for what a replay lost on the way', () => {
    const consumer = consume()
    live(consumer, 0, 4)
    replayed(consumer, [0, 1, 3, 4])
    expect(consumer).toMatchObject({ got: ['1.0', '1.1'], asked: [0, 1] })
    replayed(consumer, [1, 2, 3, 4])
    expect(consumer.got).toEqual(['1.0', '1.1', '1.2', '1.3', '1.4'])
  })

  it('gives up on a replay that loses the same batch twice', () => {
    const consumer = consume()
    live(consumer, 0, 4)
    replayed(consumer, [0, 3, 4])
    expect(consumer).toMatchObject({ got: ['1.0', 'gap', '1.4'], asked: [0] })
  })

  it('asks again for live batches that it had no room to hold', () => {
    const consumer = consume({ maxHeldBytes: 24 })
    consumer.stream.start()
    live(consumer, 1, 2, 3, 4)
    replayed(consumer, [0, 1])
    expect(consumer).toMatchObject({ got: ['1.0', '1.1', '1.2'], asked: [0, 2] })
    replayed(consumer, [2, 3, 4, 5])
    expect(consumer.got).toEqual(['1.0', '1.1', '1.2', '1.3', '1.4', '1.5'])
  })

  it('takes a number that comes again with another content for a restart', () => {
    const consumer = consume()
    live(consumer, 0, 1, 2)
    consumer.stream.live(0, batch(2, 0))
    expect(consumer).toMatchObject({ got: ['1.0', '1.1', '1.2', 'restart', '2.0'], asked: [] })
  })

  it('fetches the first batches of a restarted publisher when they were missed', () => {
    const consumer = consume()
    live(consumer, 0, 1, 2)
    consumer.stream.live(1, batch(2, 1))
    replayed(consumer, [0, 1], true, 2)
    expect(consumer).toMatchObject({ got: ['1.0', '1.1', '1.2', 'restart', '2.0', '2.1'], asked: [0] })
  })

  it('finds a restart that looks like a gap', () => {
    const consumer = consume()
    live(consumer, 0, 1)
    consumer.stream.live(4, batch(2, 4))
    consumer.stream.replayed(1, batch(2, 1))
    expect(consumer).toMatchObject({ got: ['1.0', '1.1', 'restart'], asked: [1, 0] })
    replayed(consumer, [0, 1, 2, 3, 4], true, 2)
    expect(consumer.got.slice(3)).toEqual(['2.0', '2.1', '2.2', '2.3', '2.4'])
  })

  it('finds a restart at a reconnect, before the new publisher sends anything', () => {
    const consumer = consume()
    live(consumer, 0, 1, 2)
    consumer.stream.reconnected()
    replayed(consumer, [])
    expect(consumer).toMatchObject({ got: ['1.0', '1.1', '1.2', 'restart'], asked: [2, 0] })
  })

  it('fetches what was missed while the connection was down', () => {
    const consumer = consume()
    live(consumer, 0, 1)
    consumer.stream.reconnected()
    replayed(consumer, [1, 2, 3])
    expect(consumer.got).toEqual(['1.0', '1.1', '1.2', '1.3'])
  })

  it('drops live batches that a replay brought before, however late they come', () => {
    const consumer = consume()
    consumer.stream.start()
    replayed(consumer, [0, 1, 2])
    live(consumer, 1, 2, 3, 3)
    expect(consumer.got).toEqual(['1.0', '1.1', '1.2', '1.3'])
  })

  it('ignores what an abandoned replay still brings', () => {
    const consumer = consume()
    consumer.stream.replayed(0, batch(1, 0))
    consumer.stream.replayEnded(true)
    expect(consumer.got).toEqual([])
  })
})

/** A publisher with a replay buffer, a network that loses, and a consumer; each step is one thing that can happen. */
class World {
  readonly log: { incarnation: number; sequence: number }[] = []
  lastReset: string | undefined
  incarnation = 1
  published = 0
  connected = true
  /** What the SUB socket holds; a reconnect is noticed behind the messages that came before it. */
  readonly arrived: ({ sequence: number; payload: Uint8Array } | 'reconnected')[] = []
  request: number | undefined
  answer: ({ sequence: number; payload: Uint8Array } | 'end' | 'failed')[] = []
  readonly stream: OrderedStream

  constructor(readonly kept: number) {
    this.stream = createOrderedStream({
      maxHeldBytes: 60,
      onBatch: (sequence, payload) => {
        const view = new DataView(payload.buffer, payload.byteOffset)
        const last = this.log.at(-1)
        // In order and once, always; a hole only where a reset said so.
        if (last !== undefined) expect(sequence).toBe(last.sequence + 1)
        else if (this.lastReset === undefined) expect(sequence).toBe(0)
        this.log.push({ incarnation: view.getUint32(0), sequence })
      },
      onReset: reason => {
        this.log.length = 0
        this.lastReset = reason
      },
      requestReplay: sequence => {
        this.request = sequence
        this.answer = []
      },
    })
  }

  publish(lost: boolean) {
    const sequence = this.published++
    if (this.connected && !lost) this.arrived.push({ sequence, payload: batch(this.incarnation, sequence) })
  }
  receive() {
    const next = this.arrived.shift()
    if (next === 'reconnected') this.stream.reconnected()
    else if (next !== undefined) this.stream.live(next.sequence, next.payload)
  }
  serve() {
    if (this.request === undefined || !this.connected) return
    const first = Math.max(this.request, this.published - this.kept)
    for (let sequence = first; sequence < this.published; sequence++)
      this.answer.push({ sequence, payload: batch(this.incarnation, sequence) })
    this.answer.push('end')
    this.request = undefined
  }
  receiveReplay() {
    const next = this.answer.shift()
    if (next === 'end' || next === 'failed') this.stream.replayEnded(next === 'end')
    else if (next !== undefined) this.stream.replayed(next.sequence, next.payload)
  }
  failReplay() {
    if (this.request === undefined) return
    this.request = undefined
    this.answer = ['failed']
  }
  disconnect(restarts: boolean, arriving: number) {
    this.connected = false
    // Of an answer under way, a part still comes; its end never does.
    if (this.request !== undefined || this.answer.length > 0)
      this.answer = [...this.answer.filter(item => item !== 'end').slice(0, arriving), 'failed']
    this.request = undefined
    if (restarts) {
      this.incarnation++
      this.published = 0
    }
  }
  reconnect() {
    if (this.connected) return
    this.connected = true
    this.arrived.push('reconnected')
  }
  /** Everything arrives, and a last batch that is not lost. */
  settle() {
    this.reconnect()
    this.publish(false)
    for (let turn = 0; turn < 20; turn++) {
      while (this.arrived.length > 0) this.receive()
      this.serve()
      while (this.answer.length > 0) this.receiveReplay()
    }
    expect(this.stream.replaying).toBe(false)
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant<(world: World) => void>(world => world.publish(false)) },
  { weight: 2, arbitrary: fc.constant<(world: World) => void>(world => world.publish(true)) },
  { weight: 6, arbitrary: fc.constant<(world: World) => void>(world => world.receive()) },
  { weight: 3, arbitrary: fc.constant<(world: World) => void>(world => world.serve()) },
  { weight: 5, arbitrary: fc.constant<(world: World) => void>(world => world.receiveReplay()) },
  { weight: 1, arbitrary: fc.constant<(world: World) => void>(world => void (world.stream.replaying || world.disconnect(false, 0))) },
  { weight: 1, arbitrary: fc.nat(3).map(count => (world: World) => world.disconnect(true, count)) },
  { weight: 2, arbitrary: fc.constant<(world: World) => void>(world => world.reconnect()) },
)
const failing = fc.oneof(
  { weight: 20, arbitrary: step },
  { weight: 1, arbitrary: fc.constant<(world: World) => void>(world => world.failReplay()) },
  { weight: 1, arbitrary: fc.nat(3).map(count => (world: World) => world.disconnect(false, count)) },
)

describe('an ordered stream over a lossy network', () => {
  const run = (steps: readonly ((world: World) => void)[], kept: number) => {
    const world = new World(kept)
    world.stream.start()
    for (const act of steps) act(world)
    world.settle()
    return world
  }
  const last = (world: World) => ({ incarnation: world.incarnation, sequence: world.published - 1 })

  it('ends with everything its publisher ever said, when it keeps everything and answers', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        const world = run(steps, Number.POSITIVE_INFINITY)
        expect(world.log).toEqual(Array.from({ length: world.published }, (_, sequence) => ({ incarnation: world.incarnation, sequence })))
      }),
      { numRuns: 2000 },
    )
  })

  it('ends with the last of what its publisher said and an explicit reset before it, when it forgets or does not answer', () => {
    fc.assert(
      fc.property(fc.array(failing, { maxLength: 80 }), fc.integer({ min: 1, max: 6 }), (steps, kept) => {
        const world = run(steps, kept)
        expect(world.log.at(-1)).toEqual(last(world))
        const first = world.log[0]?.sequence ?? 0
        if (first > 0) expect(world.lastReset).toMatch(/gap|joined/)
        expect(world.log).toEqual(
          Array.from({ length: world.published - first }, (_, index) => ({ incarnation: world.incarnation, sequence: first + index })),
        )
      }),
      { numRuns: 2000 },
    )
  })
})
