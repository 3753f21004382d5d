/**
 * How long one engine step takes, in few coefficients. A step computes `p` prompt tokens of which each attends to
 * the context before it, and one token for each of `d` decoding sequences that hold `c` context tokens in all:
 *
 *   stepMs = stepBaseMs
 *          + prefillMsPerToken · p + prefillMsPerTokenPerContextToken · Σ(chunk tokens · mean context)
 *          + decodeMsPerSequence · d + decodeMsPerContextToken · c
 *
 * The bench fits it from timelines; the simulated engine, cost-based routing, scaling and the interconnect
 * advisor read it.
 */
export interface EngineProfile {
  readonly name: string
  readonly stepBaseMs: number
  readonly prefillMsPerToken: number
  readonly prefillMsPerTokenPerContextToken: number
  readonly decodeMsPerSequence: number
  readonly decodeMsPerContextToken: number
  /** Most tokens of one step (vLLM: max_num_batched_tokens). */
  readonly maxBatchedTokens: number
  /** True when the coefficients were not fitted to a real engine. */
  readonly standIn: boolean
  /** Where the coefficients come from: a kept run, a published figure. */
  readonly source?: string
}

/** What one step works on. */
export interface StepWork {
  readonly prefillTokens: number
  /** Σ over prefill chunks of chunk tokens · mean context of the chunk. */
  readonly prefillContextTokens: number
  readonly decodeSequences: number
  /** Context tokens of all decoding sequences. */
  readonly decodeContextTokens: number
}

export function stepMs(profile: EngineProfile, work: StepWork): number {
  return (
    profile.stepBaseMs +
    profile.prefillMsPerToken * work.prefillTokens +
    profile.prefillMsPerTokenPerContextToken * work.prefillContextTokens +
    profile.decodeMsPerSequence * work.decodeSequences +
    profile.decodeMsPerContextToken * work.decodeContextTokens
  )
}

/**
 * Time to prefill `uncachedTokens` after `cachedTokens` on an idle engine, chunked by `maxBatchedTokens`.
 * Closed form of the sum of `stepMs` over the chunks.
 */
export function prefillMs(profile: EngineProfile, uncachedTokens: number, cachedTokens = 0): number {
  if (uncachedTokens <= 0) return 0
  const steps = Math.ceil(uncachedTokens / profile.maxBatchedTokens)
  const meanContext = cachedTokens + uncachedTokens / 2
  return steps * profile.stepBaseMs + uncachedTokens * (profile.prefillMsPerToken + profile.prefillMsPerTokenPerContextToken * meanContext)
}

/**
 * A stand-in of the size of a 70 B dense model in 8-bit weights on four H100: about 22 k prompt tokens/s at short
 * context, 11 ms a decode step. Good for demonstrations and for comparing policies; not a measurement of an engine.
 */
export const standInProfile: EngineProfile = {
  name: 'stand-in-70b',
  stepBaseMs: 11,
  prefillMsPerToken: 0.042,
  // 2.6 MFLOP per token and context token over four GPUs at about 450 TFLOP/s: TPOT alone cannot tell it from the line above.
  prefillMsPerTokenPerContextToken: 1.5e-6,
  decodeMsPerSequence: 0.06,
  decodeMsPerContextToken: 3e-5,
  maxBatchedTokens: 8192,
  standIn: true,
  source:
    'non-negative least squares on the TPOT of 15 published vLLM runs of Llama-3.1-70B fp8 (TP4, H100; aiconfigurator silicon_sample.csv, Apache-2.0), median error 1.6 % in sample; attention term from arithmetic',
}
