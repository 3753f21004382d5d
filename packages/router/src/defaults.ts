/** Every default of the router with its reason; a changed one is a release note. */
export const routerDefaults = {
  /** vLLM runs this many sequences at once unless told otherwise (max_num_seqs); used where an engine does not report its own. */
  maxRunningRequests: 256,
  /** Output length when a client sets no limit: around the mean of public chat traces (Azure 2023 conversation: 211 tokens). */
  expectedOutputTokens: 256,
  /** Clients set limits far above what they use; beyond this a limit tells nothing about the length. */
  maxExpectedOutputTokens: 1024,
  /** kvAware: cost at which its score is one half; a second is the TTFT that chat users are promised most often. */
  costScaleMs: 1000,
  /**
   * kvAware: what a millisecond counts by which this prompt holds up each request already there. On the Mooncake conversation
   * trace over simulated engines 0.1 to 0.3 gave the lowest mean and p95 TTFT at 70 % and 100 % of its rate.
   */
  interferenceWeight: 0.2,
  /**
   * kvAware: what a millisecond counts by which the batch slows this request's decode steps. Small: TTFT is what people
   * wait for; above 0: or a worker full of long decodes looks idle to requests that are all cached.
   */
  decodeWeight: 0.1,
  /** A tokenizer call above this costs more than the prefix it could find. */
  tokenizeTimeoutMs: 1000,
  /** An engine tokenizes on its API server's one thread: a burst of long prompts would delay its streams. */
  maxConcurrentTokenizeCalls: 32,
  /** Prompts whose ids are remembered: 64 MiB is 16 million tokens, or 2,000 conversations of 8,000. */
  tokenCacheMaxBytes: 64 * 1024 * 1024,
  /** English text and code run at about four characters a token with today's vocabularies. */
  charactersPerToken: 4,
  /** Blocks a holder may have waiting for an unknown parent: 256 Ki tokens of 16, a few MB. */
  maxParkedBlocks: 16_384,
} as const
