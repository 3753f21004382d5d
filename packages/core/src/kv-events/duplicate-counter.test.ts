import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DecodedKvEvent, vllmCodec } from './codecs/index.js'
import { createDuplicateCounter } from './duplicate-counter.js'
import type { KvEvent, KvHolder, KvMedium } from './kv-event.js'

const holder: KvHolder = { kind: 'worker', workerId: 'a', incarnation: 1, rank: 0 }
const pairs = (...hashes: number[]) => Uint32Array.from(hashes.flatMap(hash => [hash >>> 3, hash]))

interface Options {
  readonly medium?: KvMedium
  readonly group?: DecodedKvEvent['group']
  readonly parent?: number
}

function stored(hashes: number[], { medium = 'gpu', group, parent }: Options = {}): DecodedKvEvent {
  const event: KvEvent = {
    type: 'stored',
    holder,
    medium,
    keySpace: { model: 'm', scheme: 'vllm', blockSize: 2 },
    hashes: pairs(...hashes),
    parent: parent === undefined ? undefined : pairs(parent),
    tokens: Uint32Array.from(hashes.flatMap(hash => [10 * hash, 10 * hash + 1])),
    extraKeys: hashes.map(hash => (hash % 2 === 0 ? `["${hash}"]` : undefined)),
  }
  return { event, group }
}

function removed(hashes: number[], { medium = 'gpu', group }: Options = {}): DecodedKvEvent {
  return { event: { type: 'removed', holder, medium, hashes: pairs(...hashes) }, group }
}

/** Applies what comes out as a naive consumer would and checks that it is told each thing once. */
function consumer() {
  const held = new Map<KvMedium, Set<string>>()
  const of = (medium: KvMedium) => held.get(medium) ?? held.set(medium, new Set()).get(medium) ?? new Set()
  return {
    held,
    apply(events: readonly KvEvent[]) {
      for (const event of events) {
        if (event.type === 'cleared') {
          if (event.medium === undefined) held.clear()
          else held.delete(event.medium)
          continue
        }
        expect(event.hashes.length).toBeGreaterThan(0)
        for (let index = 0; index < event.hashes.length; index += 2) {
          const key = `${event.hashes[index]}:${event.hashes[index + 1]}`
          expect(of(event.medium).has(key)).toBe(event.type === 'removed')
          if (event.type === 'stored') of(event.medium).add(key)
          else of(event.medium).delete(key)
        }
      }
    },
  }
}

describe('the duplicate counter', () => {
  it('says that a block is gone when its last copy is', () => {
    const counter = createDuplicateCounter()
    const [first, second] = [stored([1, 2]), stored([2], { parent: 1 })]
    expect(counter.apply([first])).toEqual([first.event])
    expect(counter.apply([second])).toEqual([])
    expect(counter.apply([removed([2])])).toEqual([])
    expect(counter.apply([removed([2])])).toEqual([removed([2]).event])
    expect(counter.size).toBe(1)
  })

  it('cuts an event around the blocks that are held already, each run with its parent, tokens and keys', () => {
    const counter = createDuplicateCounter()
    counter.apply([stored([2, 5])])
    const keySpace = { model: 'm', scheme: 'vllm', blockSize: 2 }
    const common = { type: 'stored', holder, medium: 'gpu', keySpace }
    expect(counter.apply([stored([1, 2, 3, 4, 5], { parent: 9 })])).toEqual([
      { ...common, hashes: pairs(1), parent: pairs(9), tokens: Uint32Array.of(10, 11), extraKeys: [undefined] },
      { ...common, hashes: pairs(3, 4), parent: pairs(2), tokens: Uint32Array.of(30, 31, 40, 41), extraKeys: [undefined, '["4"]'] },
    ])
    expect(counter.apply([removed([5, 4, 2])])).toEqual([removed([4]).event])
  })

  it('counts each medium by itself', () => {
    const counter = createDuplicateCounter()
    expect(counter.apply([stored([1]), stored([1], { medium: 'cpu' })])).toHaveLength(2)
    expect(counter.apply([removed([1])])).toHaveLength(1)
    expect(counter.size).toBe(1)
  })

  it('ignores removals of what it never saw stored', () => {
    expect(createDuplicateCounter().apply([removed([1, 2])])).toEqual([])
  })

  it('forgets on clear and on reset', () => {
    const counter = createDuplicateCounter()
    const cleared: DecodedKvEvent = { event: { type: 'cleared', holder }, group: undefined }
    expect(counter.apply([stored([1]), stored([1]), cleared, removed([1]), stored([1])])).toHaveLength(3)
    counter.reset()
    expect(counter.size).toBe(0)
    expect(counter.apply([stored([1])])).toHaveLength(1)
  })

  it('lets one group of a hybrid model stand for the prefix', () => {
    const counter = createDuplicateCounter()
    const group = (index: number, wholePrefix?: boolean) => ({ group: { index, wholePrefix } })
    expect(counter.apply([stored([1], group(1, true)), stored([1], group(2, true)), stored([1], group(0, false))])).toHaveLength(1)
    // Removals carry no kind: those of other groups must not count.
    expect(counter.apply([removed([1], group(2)), removed([1], group(0))])).toEqual([])
    expect(counter.apply([removed([1], group(1))])).toHaveLength(1)
  })

  it('agrees with a plain multiset on any history', () => {
    const step = fc.record({
      medium: fc.constantFrom<KvMedium>('gpu', 'cpu'),
      hashes: fc.array(fc.nat(40), { minLength: 1, maxLength: 6 }),
      kind: fc.constantFrom('stored', 'stored', 'removed', 'removed', 'cleared'),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), steps => {
        const counter = createDuplicateCounter()
        const told = consumer()
        const truth = new Map<string, number>()
        for (const { kind, medium, hashes } of steps) {
          if (kind === 'cleared') {
            if (hashes.length > 2) continue
            for (const key of truth.keys()) if (key.startsWith(medium)) truth.delete(key)
            told.apply(counter.apply([{ event: { type: 'cleared', holder, medium }, group: undefined }]))
            continue
          }
          for (const hash of hashes) {
            const key = `${medium}:${hash >>> 3}:${hash}`
            const count = (truth.get(key) ?? 0) + (kind === 'stored' ? 1 : -1)
            if (count > 0) truth.set(key, count)
            else truth.delete(key)
          }
          told.apply(counter.apply([kind === 'stored' ? stored(hashes, { medium }) : removed(hashes, { medium })]))
        }
        const held = [...told.held].flatMap(([medium, keys]) => [...keys].map(key => `${medium}:${key}`))
        expect(held.sort()).toEqual([...truth.keys()].sort())
        expect(counter.size).toBe(truth.size)
      }),
    )
  })

  it('follows a large table through growth and removal', () => {
    const counter = createDuplicateCounter()
    const told = consumer()
    const chunk = (from: number) => Array.from({ length: 100 }, (_, index) => from + index)
    for (let from = 0; from < 20_000; from += 100) told.apply(counter.apply([stored(chunk(from))]))
    expect(counter.size).toBe(20_000)
    for (let from = 0; from < 20_000; from += 200) told.apply(counter.apply([removed(chunk(from))]))
    expect(counter.size).toBe(10_000)
    for (let from = 0; from < 20_000; from += 100) told.apply(counter.apply([removed(chunk(from))]))
    expect(counter.size).toBe(0)
    expect([...(told.held.get('gpu') ?? [])]).toEqual([])
  })

  it('follows the captured run in which one hash is stored twice and removed twice', () => {
    const payloads = readFileSync(new URL('../../test-fixtures/vllm-kv-events.jsonl', import.meta.url), 'utf8')
      .split('\n')
      .filter(line => line.startsWith('{"run": "sha256_cbor/b32/seed=0", "kind": "frame"'))
      .map(line => Buffer.from((JSON.parse(line) as { payload_hex: string }).payload_hex, 'hex'))
    expect(payloads).toHaveLength(17)
    const counter = createDuplicateCounter()
    const told = consumer()
    let physical = 0
    let residencies = 0
    const count = (events: readonly KvEvent[]) =>
      events.reduce((sum, event) => sum + (event.type === 'stored' ? event.hashes.length / 2 : 0), 0)
    for (const payload of payloads) {
      const { events } = vllmCodec().decode(payload, { holder, model: 'm' })
      const out = counter.apply(events)
      told.apply(out)
      physical += count(events.map(({ event }) => event))
      residencies += count(out)
    }
    expect(physical).toBeGreaterThan(residencies)
  })
})
