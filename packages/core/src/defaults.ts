/** Core's defaults, each with its reason. A changed default is a release note. */

export const fleetDefaults = {
  /** Loading the weights of a 70 B model from a network disk takes minutes; ten cover a cold start with compilation. */
  joinTimeoutMs: 600_000,
  /** Short against any engine's start, long against the cost of a refused connection. */
  joinPollMs: 250,
  /** Room for a warm-up request with a long prompt, or for flushing a cache to a shared store. */
  hookTimeoutMs: 60_000,
  /** vLLM's block size when none is configured. */
  blockSize: 16,
  dataParallelRanks: 1,
} as const

export const probeDefaults = {
  /** A stopped engine is out after three of these, and load reports are never older than one: both matter more than one small GET. */
  intervalMs: 2_000,
  /** A busy engine answers late while it tokenises long prompts; a shorter timeout would take load for failure. */
  timeoutMs: 5_000,
  /** One lost probe says nothing; three in a row do. */
  failureThreshold: 3,
  /** Two, so that an engine that restarts in a loop does not flap. */
  successThreshold: 2,
  /** Spreads the probes of workers that joined together. */
  jitter: 0.2,
} as const

export const breakerDefaults = {
  /** Above what one bad request with retries causes, below what users notice as an outage. */
  failureThreshold: 5,
  /** Long enough for a restart of a proxy or a route, short enough that a recovered worker is soon back. */
  openMs: 10_000,
} as const

export const zeromqKvEventDefaults = {
  /** The publisher answers between two scheduler steps, at most 0.1 s apart when idle; a long prefill step takes seconds. */
  replayTimeoutMs: 5_000,
  /** An engine that is up binds its publisher before it answers /health; a closed port should not hold up a join for long. */
  connectTimeoutMs: 5_000,
  /** Several thousand batches: what a busy engine publishes during a replay, and a bound on what one publisher may cost. */
  maxHeldBytes: 64 * 2 ** 20,
  /** The publisher's own default; past it ZMQ drops, which costs a replay. */
  receiveHighWaterMark: 100_000,
  /** A machine that vanished says nothing; the kernel asks after half a minute and ZMQ reconnects within another. */
  keepaliveIdleS: 30,
  keepaliveIntervalS: 10,
  keepaliveProbes: 3,
} as const
