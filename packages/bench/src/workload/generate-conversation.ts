import { parseOptions, type Random, seededRandom } from '@kvfleet/core'
import * as v from 'valibot'
import { defaults } from '../defaults.js'
import { type ConversationModel, conversationModel } from './conversation-model.js'
import { quantileOf } from './quantile-table.js'
import type { Trace, TraceRequest } from './trace.js'

export interface ConversationTraceOptions {
  /** Default: 12,031, as many as the trace it is modelled on. */
  readonly requests?: number
  readonly seed?: number | string
  /** Tokens per block id. Default: 512. */
  readonly blockTokens?: number
  /** Rounds arrivals down to a multiple, as Mooncake's trace does with 3,000. Default: 0, exact times. */
  readonly tickMs?: number
  /** Replaces parts of the fitted model. */
  readonly model?: Partial<ConversationModel>
}

const positive = v.pipe(v.number(), v.integer(), v.minValue(1))

const optionsSchema = v.strictObject({
  requests: v.optional(positive, 12_031),
  seed: v.optional(v.union([v.number(), v.string()]), defaults.seed),
  blockTokens: v.optional(positive, defaults.mooncakeBlockTokens),
  tickMs: v.optional(v.pipe(v.number(), v.minValue(0)), 0),
  model: v.optional(
    v.custom<Partial<ConversationModel>>(value => typeof value === 'object' && value !== null),
    {},
  ),
})

/**
 * Chat sessions with the statistics of Mooncake's conversation trace: a common system prompt, prompts that grow by
 * answer and next question, forks, repeats, think times, bursts. Repeats exactly for one seed; a longer trace begins
 * with the shorter one. `describeTrace` and docs/workloads.md show how close it comes.
 */
export function generateConversationTrace(options: ConversationTraceOptions = {}): Trace {
  const { requests: wanted, seed, blockTokens, tickMs, model: changes } = parseOptions('generateConversationTrace', optionsSchema, options)
  const model: ConversationModel = { ...conversationModel, ...changes }
  let horizonMs = (1.1 * wanted * 1000) / model.requestsPerSecond + 60_000
  for (;;) {
    const turns = drawSessions(model, blockTokens, horizonMs, seed).filter(turn => turn.at >= 0 && turn.at < horizonMs)
    if (turns.length >= wanted) return assemble(turns.sort((a, b) => a.at - b.at).slice(0, wanted))
    horizonMs *= 1.5
  }

  function assemble(turns: readonly Turn[]): Trace {
    const arrivals = warp(turns, model.burstiness, seededRandom(`${seed}/bursts`))
    const rename = new Map<number, number>()
    const requests = turns.map((turn, index): TraceRequest => {
      for (const id of turn.blockIds) if (!rename.has(id)) rename.set(id, rename.size)
      const at = arrivals[index] as number
      return {
        index,
        arrivalMs: tickMs > 0 ? Math.floor(at / tickMs) * tickMs : at,
        promptTokens: turn.promptTokens,
        outputTokens: turn.outputTokens,
        blockIds: turn.blockIds.map(id => rename.get(id) as number),
      }
    })
    return { name: 'generated-conversation', blockTokens, requests, notes: [`generated, seed ${seed}`] }
  }
}

interface Turn {
  /** Before bursts, ms. */
  readonly at: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly blockIds: readonly number[]
}

/** Sessions that began up to this long before the trace are under way at its start, as in any cut from real traffic. */
const LEAD_MS = 3_600_000

function drawSessions(model: ConversationModel, blockTokens: number, horizonMs: number, seed: number | string): Turn[] {
  const arrivals = seededRandom(`${seed}/sessions`)
  const random = seededRandom(`${seed}/turns`)
  const meanGapMs = (1000 * meanTurns(model, blockTokens, seed)) / model.requestsPerSecond
  const turns: Turn[] = []
  let nextId = model.commonBlocks
  for (let at = -LEAD_MS; at < horizonMs; at += exponential(arrivals) * meanGapMs) {
    nextId = drawSession(model, blockTokens, at, nextId, random, turns)
  }
  return turns
}

/** Appends the turns of one session; returns the next unused block id. */
function drawSession(
  model: ConversationModel,
  blockTokens: number,
  startAt: number,
  firstId: number,
  random: Random,
  turns: Turn[],
): number {
  let nextId = firstId
  let at = startAt
  let promptTokens = limit(quantileOf(model.firstPromptTokens, random.next()))
  const single = promptTokens < model.singleTurnBelowTokens
  let blockIds = extend(Array.from({ length: model.commonBlocks }, (_, id) => id))
  for (let turn = 0; ; turn++) {
    const outputTokens = Math.max(1, Math.round(quantileOf(model.outputTokens, random.next())))
    turns.push({ at, promptTokens, outputTokens, blockIds })
    const usual = model.continueProbability[Math.min(turn, model.continueProbability.length - 1)] ?? 0
    const probability = promptTokens > model.longPrompt.aboveTokens ? usual * model.longPrompt.continueFactor : usual
    if (single || random.next() >= probability) return nextId
    at += quantileOf(model.turnGapMs, random.next())
    const kind = random.next()
    if (kind < model.retryShare) continue
    const fullBlocks = Math.floor(promptTokens / blockTokens)
    if (kind < model.retryShare + model.forkShare) {
      const kept = Math.max(model.commonBlocks, Math.round(quantileOf(model.forkKeeps, random.next()) * fullBlocks))
      promptTokens = limit(kept * blockTokens + quantileOf(model.forkTokens, random.next()))
      blockIds = extend(blockIds.slice(0, kept))
    } else {
      promptTokens = limit(
        Math.max(
          promptTokens,
          promptTokens + outputTokens + quantileOf(turn === 0 ? model.secondTurnAddedTokens : model.laterTurnAddedTokens, random.next()),
        ),
      )
      blockIds = extend(blockIds.slice(0, fullBlocks))
    }
  }

  function limit(tokens: number): number {
    return Math.max(1, Math.min(model.maxPromptTokens, Math.round(tokens)))
  }

  /** `kept` and new ids up to the length of the prompt; its last, partly filled block is never kept. */
  function extend(kept: readonly number[]): number[] {
    const blocks = Math.ceil(promptTokens / blockTokens)
    return Array.from({ length: blocks }, (_, block) => kept[block] ?? nextId++)
  }
}

/** Drawn rather than worked out: whether a session goes on depends on its lengths. */
function meanTurns(model: ConversationModel, blockTokens: number, seed: number | string): number {
  const random = seededRandom(`${seed}/mean-turns`)
  const turns: Turn[] = []
  for (let session = 0; session < SESSIONS_FOR_MEAN; session++) drawSession(model, blockTokens, 0, 0, random, turns)
  return turns.length / SESSIONS_FOR_MEAN
}

/** Gives the mean number of turns to about 2 %. */
const SESSIONS_FOR_MEAN = 5000

const BURST_WINDOW_MS = 3000

/**
 * Bends time so that the rate of all arrivals varies: each window of real time passes a random amount of the turns'
 * own time, 3 s on average. Order and mean gaps stay.
 */
function warp(turns: readonly Turn[], burstiness: number, random: Random): Float64Array {
  const arrivals = new Float64Array(turns.length)
  let window = 0
  let ownStart = 0
  let ownLength = 0
  for (const [index, { at }] of turns.entries()) {
    while (at >= ownStart + ownLength) {
      if (ownLength > 0) window++
      ownStart += ownLength
      ownLength = BURST_WINDOW_MS * (1 - burstiness + burstiness * exponential(random))
    }
    arrivals[index] = BURST_WINDOW_MS * (window + (at - ownStart) / ownLength)
  }
  return arrivals
}

/** Exponentially distributed with mean 1. */
function exponential(random: Random): number {
  return -Math.log(1 - random.next())
}
