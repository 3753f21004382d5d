import * as v from 'valibot'
import { parseOptions } from '../../options.js'
import { simulatedEngineDefaults } from '../defaults.js'
import type { SimulatedEngineOptions } from './engine.js'

const positiveInteger = v.pipe(v.number(), v.safeInteger('expected a whole number'), v.minValue(1, 'expected at least 1'))
const nonNegative = v.pipe(v.number(), v.finite('expected a finite number'), v.minValue(0, 'expected at least 0'))

const engineProfileSchema = v.strictObject({
  name: v.string(),
  stepBaseMs: nonNegative,
  prefillMsPerToken: nonNegative,
  prefillMsPerTokenPerContextToken: nonNegative,
  decodeMsPerSequence: nonNegative,
  decodeMsPerContextToken: nonNegative,
  maxBatchedTokens: positiveInteger,
  standIn: v.boolean(),
  source: v.optional(v.string()),
})

/** Blocks are counted in 32-bit integers, and ids are 32-bit words. */
const MOST_KV_BLOCKS = 2 ** 28
const LARGEST_VOCABULARY = 2 ** 31

export const simulatedEngineOptionEntries = {
  profile: engineProfileSchema,
  blockSize: positiveInteger,
  kvBlocks: v.pipe(positiveInteger, v.maxValue(MOST_KV_BLOCKS, `expected at most ${MOST_KV_BLOCKS}`)),
  maxRunningRequests: v.optional(positiveInteger, simulatedEngineDefaults.maxRunningRequests),
  seed: v.optional(v.pipe(v.number(), v.safeInteger('expected a whole number')), simulatedEngineDefaults.seed),
  vocabularySize: v.optional(
    v.pipe(positiveInteger, v.maxValue(LARGEST_VOCABULARY, `expected at most ${LARGEST_VOCABULARY}`)),
    simulatedEngineDefaults.vocabularySize,
  ),
  jump: v.optional(v.boolean(), simulatedEngineDefaults.jump),
}

const schema = v.strictObject(simulatedEngineOptionEntries)

export function parseSimulatedEngineOptions(options: SimulatedEngineOptions): Required<SimulatedEngineOptions> {
  const parsed = parseOptions('simulated engine', schema, options)
  const { source, ...profile } = parsed.profile
  return { ...parsed, profile: source === undefined ? profile : { ...profile, source } }
}
