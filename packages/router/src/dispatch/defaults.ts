/** Defaults of dispatch, each with its reason. */
export const dispatchDefaults = {
  /** Two other workers: past that the trouble is the fleet's, and every try adds to the load of what is left. */
  retries: 2,
  /** Engines stand in the same network: what has not accepted a connection after three seconds is gone. */
  connectTimeoutMs: 3_000,
  /** A reply that is not streamed begins after its last token: 32,768 tokens at 50 ms each take 27 minutes. */
  headersTimeoutMs: 1_800_000,
  /** Longest silence inside a reply: the prefill of a long prompt behind a full queue takes minutes, ten are a hang. */
  bodyTimeoutMs: 600_000,
  /** uvicorn (vLLM, SGLang) closes idle connections after 5 s; closing first keeps requests off dying ones. */
  keepAliveMs: 4_000,
  /** What a client should wait before it asks again when no worker takes requests. */
  retryAfterSeconds: 1,
} as const
