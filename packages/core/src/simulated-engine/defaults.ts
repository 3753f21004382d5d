/** Defaults of the simulated engine, each with its reason. */
export const simulatedEngineDefaults = {
  /** vLLM's max_num_seqs on large GPUs. */
  maxRunningRequests: 256,
  seed: 0,
  /** The size of the vocabularies of the Llama 2 generation; only the spread of ids depends on it. */
  vocabularySize: 32_000,
  /** Same result, fewer events. */
  jump: true,
} as const

export const simulatedServerDefaults = {
  /** Nobody outside the machine should reach a test double by accident. */
  host: '127.0.0.1',
  /** Any free port: several engines run beside each other. */
  port: 0,
  model: 'simulated',
  /** A short answer; real ones end by a token that the model does not have. */
  defaultOutputTokens: 128,
  timeScale: 1,
  /** vLLM needs a flag for it; here it is what most tests look at. */
  promptTokensDetails: true,
  kvEvents: true,
  topic: '',
  /** vLLM's own. */
  bufferSteps: 10_000,
  wireGeneration: 'map',
  hashes: 'int',
  /** vLLM's own when PYTHONHASHSEED is not set. */
  hashSeed: 'vllm-none-hash',
  /** A process that has not ended by then is stuck (stopped, say) and is killed. */
  closeDeadlineMs: 2_000,
} as const
