import * as v from 'valibot'
import type { EngineProfile } from '../../engine-profile.js'
import { KvFleetError } from '../../errors.js'
import { parseOptions } from '../../options.js'
import { simulatedServerDefaults as defaults } from '../defaults.js'
import type { SimulatedEngineOptions } from '../model/engine.js'
import { simulatedEngineOptionEntries } from '../model/options.js'

export interface ServeSimulatedEngineOptions extends Omit<SimulatedEngineOptions, 'jump'> {
  /** Default: 127.0.0.1. */
  readonly host?: string
  /** Default: 0, any free port. */
  readonly port?: number
  /** The model name served. Default: `simulated`. */
  readonly model?: string
  /** Longest prompt and output together, in tokens. Default: what fits the KV room. */
  readonly maxModelLength?: number
  /** Length of an answer to a chat that sets no limit: it then ends by itself (`stop`). Default: 128. */
  readonly defaultOutputTokens?: number
  /** How many times faster than the wall clock the engine runs; every time on the wire shrinks by it. Default: 1. */
  readonly timeScale?: number
  /** `usage.prompt_tokens_details`, as vLLM's --enable-prompt-tokens-details. Default: true. */
  readonly promptTokensDetails?: boolean
  /** Publish KV events over ZMQ. Default: true. */
  readonly kvEvents?: boolean | ServedKvEventsOptions
}

export interface ServedKvEventsOptions {
  /** Default: 0, any free port. */
  readonly port?: number
  /** Default: 0, any free port. */
  readonly replayPort?: number
  /** Default: empty. */
  readonly topic?: string
  /** Batches kept for replay. Default: 10,000. */
  readonly bufferSteps?: number
  /** `map` as vLLM writes events since 0.26, `array` as before. Default: `map`. */
  readonly wireGeneration?: 'map' | 'array'
  /** `int`: the low 64 bits of the digest; `bytes`: all of it (VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES=0). Default: `int`. */
  readonly hashes?: 'int' | 'bytes'
  /** PYTHONHASHSEED of the hash chain. Default: `vllm-none-hash`. */
  readonly hashSeed?: string
}

const port = v.pipe(v.number(), v.integer('expected a port'), v.minValue(0, 'expected a port'), v.maxValue(65_535, 'expected a port'))
const positiveInteger = v.pipe(v.number(), v.safeInteger('expected a whole number'), v.minValue(1, 'expected at least 1'))

const kvEventsSchema = v.strictObject({
  port: v.optional(port, defaults.port),
  replayPort: v.optional(port, defaults.port),
  topic: v.optional(v.string(), defaults.topic),
  bufferSteps: v.optional(positiveInteger, defaults.bufferSteps),
  wireGeneration: v.optional(v.picklist(['map', 'array']), defaults.wireGeneration),
  hashes: v.optional(v.picklist(['int', 'bytes']), defaults.hashes),
  hashSeed: v.optional(v.string(), defaults.hashSeed),
})

const { jump: _, ...engineEntries } = simulatedEngineOptionEntries

const schema = v.strictObject({
  ...engineEntries,
  host: v.optional(v.pipe(v.string(), v.nonEmpty('expected an address')), defaults.host),
  port: v.optional(port, defaults.port),
  model: v.optional(v.pipe(v.string(), v.nonEmpty('expected a name')), defaults.model),
  maxModelLength: v.optional(positiveInteger),
  defaultOutputTokens: v.optional(positiveInteger, defaults.defaultOutputTokens),
  timeScale: v.optional(v.pipe(v.number(), v.finite('expected a finite number'), v.gtValue(0, 'expected more than 0')), defaults.timeScale),
  promptTokensDetails: v.optional(v.boolean(), defaults.promptTokensDetails),
  // Its members are parsed for themselves: a union could not name the one that is wrong.
  kvEvents: v.optional(v.union([v.boolean(), v.looseObject({})]), defaults.kvEvents),
})

export interface ResolvedServeOptions {
  readonly engine: SimulatedEngineOptions
  readonly host: string
  readonly port: number
  readonly model: string
  readonly maxModelLength: number
  readonly defaultOutputTokens: number
  readonly timeScale: number
  readonly promptTokensDetails: boolean
  readonly kvEvents: Required<ServedKvEventsOptions> | undefined
}

export function parseServeOptions(options: ServeSimulatedEngineOptions): ResolvedServeOptions {
  const { profile, blockSize, kvBlocks, maxRunningRequests, seed, vocabularySize, maxModelLength, kvEvents, ...rest } = parseOptions(
    'simulated engine server',
    schema,
    options,
  )
  const room = blockSize * kvBlocks
  if (maxModelLength !== undefined && maxModelLength > room) {
    throw new KvFleetError(
      'OPTION_INVALID',
      `simulated engine server: maxModelLength: expected at most ${room}, what kvBlocks hold, got ${maxModelLength}`,
      {
        details: { field: 'maxModelLength', expected: `at most ${room}`, received: maxModelLength },
      },
    )
  }
  return {
    ...rest,
    // Every token is written for itself, as vLLM does: steps are taken one by one.
    engine: { profile: profile as EngineProfile, blockSize, kvBlocks, maxRunningRequests, seed, vocabularySize, jump: false },
    maxModelLength: maxModelLength ?? room,
    kvEvents:
      kvEvents === false ? undefined : parseOptions('simulated engine server: kvEvents', kvEventsSchema, kvEvents === true ? {} : kvEvents),
  }
}
