import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chainBlockHashes } from '../../block-hashes/index.js'
import type { EngineProfile } from '../../engine-profile.js'
import { createVirtualClock } from '../../virtual-time.js'
import type { SimulatedEngineStats, SimulatedKvEvent, SimulatedRequest, SimulatedResult } from './engine.js'
import { createSimulatedEngine } from './simulated-engine.js'

const VOCABULARY = 50
const BLOCK_SIZE = 4

interface Workload {
  readonly profile: EngineProfile
  readonly kvBlocks: number
  readonly maxRunningRequests: number
  readonly actions: readonly Action[]
  readonly listenToEvents: boolean
}

type Action = { readonly at: number } & (
  | {
      readonly do: 'submit'
      readonly group: number
      readonly length: number
      readonly maxTokens: number
      readonly byHashes: boolean
      readonly abortAfterMs: number | undefined
    }
  | { readonly do: 'reset' }
  | { readonly do: 'read' }
)

interface Log {
  readonly tokens: Map<string, { readonly at: number; readonly id: number }[]>
  readonly results: SimulatedResult[]
  readonly events: { readonly event: SimulatedKvEvent; readonly at: number }[]
  readonly readings: SimulatedEngineStats[]
}

/** Prompts of one group begin alike, so they share blocks. */
function promptOf(group: number, length: number): Uint32Array {
  return Uint32Array.from({ length }, (_, index) => (index < 9 ? group : group + index) % VOCABULARY)
}

function play({ profile, kvBlocks, maxRunningRequests, actions, listenToEvents }: Workload, jump: boolean): Log {
  const clock = createVirtualClock()
  const engine = createSimulatedEngine(
    { profile, blockSize: BLOCK_SIZE, kvBlocks, maxRunningRequests, vocabularySize: VOCABULARY, jump },
    { clock },
  )
  const log: Log = { tokens: new Map(), results: [], events: [], readings: [] }
  if (listenToEvents) engine.onKvEvents((events, at) => log.events.push(...events.map(event => ({ event, at }))))
  actions.forEach((action, index) => {
    clock.schedule(action.at, () => {
      if (action.do === 'reset') return engine.resetPrefixCache()
      if (action.do === 'read') return log.readings.push(engine.stats())
      const ids = promptOf(action.group, action.length)
      const request: SimulatedRequest = {
        id: `request-${index}`,
        prompt: action.byHashes ? { length: ids.length, blockHashes: chainBlockHashes(ids, BLOCK_SIZE) } : ids,
        maxTokens: action.maxTokens,
      }
      const tokens: { at: number; id: number }[] = []
      log.tokens.set(request.id, tokens)
      const abort = engine.submit(request, {
        wantsTokens: true,
        onTokens(run) {
          for (let token = 0; token < run.count; token++) {
            const at = run.firstAt + token * run.intervalMs - (run.intervalGrowthMs * token * (run.count - 1 - token)) / 2
            tokens.push({ at, id: run.tokens?.[token] as number })
          }
        },
        onEnd: result => log.results.push(result),
      })
      if (action.abortAfterMs !== undefined) clock.schedule(action.abortAfterMs, abort)
    })
  })
  clock.runToIdleSync()
  log.readings.push(engine.stats())
  expect(engine.stats()).toMatchObject({ runningRequests: 0, waitingRequests: 0, kvUsage: 0 })
  return log
}

/** Whole milliseconds make ties between steps, arrivals and aborts frequent; fractions make them rare. */
const instant = fc.oneof(fc.integer({ min: 0, max: 400 }), fc.double({ min: 0, max: 400, noNaN: true }))
const submit = fc.record({
  do: fc.constant('submit' as const),
  at: instant,
  group: fc.integer({ min: 0, max: 2 }),
  length: fc.integer({ min: 1, max: 40 }),
  maxTokens: fc.integer({ min: 1, max: 40 }),
  byHashes: fc.boolean(),
  abortAfterMs: fc.option(instant, { nil: undefined, freq: 4 }),
})
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: submit },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset' as const), at: instant }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), at: instant }) },
)
const profile: fc.Arbitrary<EngineProfile> = fc
  .oneof(
    fc.constant({
      stepBaseMs: 5,
      prefillMsPerToken: 1,
      prefillMsPerTokenPerContextToken: 0,
      decodeMsPerSequence: 1,
      decodeMsPerContextToken: 0,
    }),
    fc.constant({
      stepBaseMs: 3.3,
      prefillMsPerToken: 0.17,
      prefillMsPerTokenPerContextToken: 0.003,
      decodeMsPerSequence: 0.21,
      decodeMsPerContextToken: 0.013,
    }),
    fc.constant({
      stepBaseMs: 1,
      prefillMsPerToken: 0,
      prefillMsPerTokenPerContextToken: 0,
      decodeMsPerSequence: 0,
      decodeMsPerContextToken: 0,
    }),
  )
  .chain(times => fc.integer({ min: 1, max: 24 }).map(maxBatchedTokens => ({ ...times, name: 'random', maxBatchedTokens, standIn: true })))
const workload: fc.Arbitrary<Workload> = fc.record({
  profile,
  kvBlocks: fc.integer({ min: 4, max: 40 }),
  maxRunningRequests: fc.integer({ min: 1, max: 6 }),
  actions: fc.array(action, { minLength: 1, maxLength: 14 }),
  listenToEvents: fc.boolean(),
})

/** The request that finds no room goes away in the middle of a jump: the one behind it fits. */
const blockedHeadIsAborted: Workload = {
  profile: {
    name: 'whole numbers',
    stepBaseMs: 5,
    prefillMsPerToken: 1,
    prefillMsPerTokenPerContextToken: 0,
    decodeMsPerSequence: 1,
    decodeMsPerContextToken: 0,
    maxBatchedTokens: 3,
    standIn: true,
  },
  kvBlocks: 8,
  maxRunningRequests: 2,
  listenToEvents: false,
  actions: [
    { do: 'submit', at: 0, group: 0, length: 13, maxTokens: 10, byHashes: false, abortAfterMs: undefined },
    { do: 'submit', at: 0, group: 1, length: 13, maxTokens: 1, byHashes: false, abortAfterMs: 93 },
    { do: 'submit', at: 1, group: 0, length: 1, maxTokens: 1, byHashes: false, abortAfterMs: undefined },
  ],
}

const closeTo = (value: number | undefined) => (value === undefined ? undefined : expect.closeTo(value, 6))

describe('jumps', () => {
  it('change nothing: tokens, times, events and readings are those of single steps', () => {
    fc.assert(
      fc.property(workload, given => {
        const jumped = play(given, true)
        const stepped = play(given, false)
        expect([...jumped.tokens]).toEqual(
          [...stepped.tokens].map(([id, tokens]) => [id, tokens.map(token => ({ ...token, at: closeTo(token.at) }))]),
        )
        expect(byId(jumped.results)).toEqual(
          byId(stepped.results).map(result => ({
            ...result,
            submittedAt: closeTo(result.submittedAt),
            scheduledAt: closeTo(result.scheduledAt),
            firstTokenAt: closeTo(result.firstTokenAt),
            endedAt: closeTo(result.endedAt),
          })),
        )
        expect(jumped.events).toEqual(stepped.events.map(({ event, at }) => ({ event, at: closeTo(at) })))
        expect(jumped.readings).toEqual(stepped.readings)
      }),
      { numRuns: 250, examples: [[blockedHeadIsAborted]] },
    )
  })

  it('are taken: a lone answer needs a call of the clock per block, not per token', () => {
    const clock = createVirtualClock()
    let calls = 0
    const counted = {
      now: clock.now,
      schedule(delayMs: number, callback: () => void) {
        calls++
        return clock.schedule(delayMs, callback)
      },
    }
    const [profile] = fc.sample(workload, { numRuns: 1, seed: 1 }).map(given => ({ ...given.profile, maxBatchedTokens: 4096 }))
    const engine = createSimulatedEngine({ profile: profile as EngineProfile, blockSize: 256, kvBlocks: 100 }, { clock: counted })
    let runs = 0
    engine.submit({ id: 'a', prompt: new Uint32Array(100), maxTokens: 2000 }, { onTokens: () => runs++, onEnd() {} })
    clock.runToIdleSync()
    expect(engine.stats()).toMatchObject({ outputTokens: 2000, steps: 2000 })
    expect(runs).toBeLessThan(40)
    expect(calls).toBeLessThan(100)
  })
})

describe('conservation', () => {
  it('every request ends once, its tokens are counted once, and copies of a block are removed as often as stored', () => {
    fc.assert(
      fc.property(workload, given => {
        const log = play({ ...given, listenToEvents: true }, true)
        const submitted = given.actions.filter(({ do: kind }) => kind === 'submit').length
        expect(new Set(log.results.map(({ id }) => id)).size).toBe(submitted)
        expect(log.results).toHaveLength(submitted)
        for (const { id, outputTokens } of log.results) expect(log.tokens.get(id)).toHaveLength(outputTokens)
        const last = log.readings.at(-1) as SimulatedEngineStats
        expect(last.outputTokens).toBe(log.results.reduce((sum, { outputTokens }) => sum + outputTokens, 0))

        const copies = new Map<string, number>()
        for (const { event } of log.events) {
          if (event.type === 'cleared') copies.clear()
          else {
            for (let block = 0; block < event.hashes.length / 2; block++) {
              const key = `${event.hashes[2 * block]}.${event.hashes[2 * block + 1]}`
              const held = copies.get(key) ?? 0
              if (event.type === 'stored') expect(event.duplicates?.[block] ?? 0).toBe(held > 0 ? 1 : 0)
              else expect(event.copiesLeft ?? false).toBe(held > 1)
              copies.set(key, held + (event.type === 'stored' ? 1 : -1))
            }
          }
        }
        const total = [...copies.values()].reduce((sum, count) => sum + count, 0)
        expect(Math.min(0, ...copies.values())).toBe(0)
        expect(total).toBeLessThanOrEqual(given.kvBlocks)
      }),
      { numRuns: 150 },
    )
  })
})

function byId(results: readonly SimulatedResult[]): SimulatedResult[] {
  return [...results].sort((a, b) => (a.id < b.id ? -1 : 1))
}
