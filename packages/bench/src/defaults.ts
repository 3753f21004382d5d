/** Every default of this package, with its reason. */
export const defaults = {
  /** Mooncake's traces count blocks of 512 tokens. */
  mooncakeBlockTokens: 512,
  /** Mooncake's conversation trace rounds every timestamp down to a multiple of 3 s. */
  mooncakeTickMs: 3000,
  /** Above the longest context of any model (10 million): more is a damaged line, and would be taken for gigabytes. */
  maxTraceTokens: 16_000_000,
  /** Epoch milliseconds of the year 2286: a later time is a damaged line that a replay would wait for. */
  maxTraceTimeMs: 10_000_000_000_000,
  /** Ids below this fit the vocabulary of every model in use; equal to the simulated engine's default. */
  vocabularySize: 32_000,
  /** Any seed does; a fixed one makes two runs of the same command comparable. */
  seed: 1,
  /** Events of a real engine reach a router within tens of milliseconds: a scheduler step, a ZMQ hop, decoding. */
  kvEventDelayMs: 50,
  /** Longer than any request of the known traces takes on a loaded engine, in model time. */
  requestTimeoutMs: 600_000,
  /** The gateway tells here which worker served a request. */
  workerHeader: 'x-kvfleet-worker',
} as const
