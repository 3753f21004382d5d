import { type EngineProfile, standInProfile } from '@kvfleet/core'

/** What every simulated engine of a run is. */
export interface SimulatedFleetEngine {
  readonly profile: EngineProfile
  readonly blockSize: number
  readonly kvBlocks: number
  readonly maxRunningRequests?: number
}

/** How much slower than `standInProfile` the demonstration's engines are, in every coefficient. */
const SLOWER = 1.15

const profile: EngineProfile = {
  ...standInProfile,
  name: `${standInProfile.name} × ${SLOWER}`,
  stepBaseMs: SLOWER * standInProfile.stepBaseMs,
  prefillMsPerToken: SLOWER * standInProfile.prefillMsPerToken,
  prefillMsPerTokenPerContextToken: SLOWER * standInProfile.prefillMsPerTokenPerContextToken,
  decodeMsPerSequence: SLOWER * standInProfile.decodeMsPerSequence,
  decodeMsPerContextToken: SLOWER * standInProfile.decodeMsPerContextToken,
}

/**
 * The fleet of the demonstrations: four workers of the size of a 70 B dense model, weights and KV cache in 8 bits. A
 * stand-in: no figure made with it is a measurement.
 *
 * - `profile`: a load at which round robin queues but keeps up. At the conversation workload's own rate (3.4 requests/s of
 *   12 k tokens) and this speed its mean TTFT is about ten times that of an idle engine; with engines a tenth slower it
 *   would fall behind for good, and comparisons would measure the length of the trace.
 * - `kvBlocks`: 164 kB of KV a token (80 layers, 8 KV heads of 128, 8 bits), 429 GB in all on four 141 GB GPUs, next to 70 GB of weights. The
 *   room lasts for about four minutes of traffic; half of all next turns come within two.
 * - `blockSize`: 64 tokens keep block tables and KV events small at prompts of 12 k tokens.
 */
export const demonstration: { readonly workers: number; readonly engine: SimulatedFleetEngine } = {
  workers: 4,
  engine: { profile, blockSize: 64, kvBlocks: 40_960 },
}
