import type { SimulatedEngineStats } from '../model/engine.js'
import { Histogram } from './histogram.js'

/** vLLM's bucket bounds, in seconds. */
const TTFT_BOUNDS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560]
const ITL_BOUNDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80]

const FINISH_REASONS = ['stop', 'length', 'abort', 'error', 'repetition'] as const
export type FinishReason = (typeof FINISH_REASONS)[number]

type Labels = Readonly<Record<string, string>>
interface Sample {
  readonly suffix?: string
  readonly labels?: Labels
  readonly value: number
}

/** The `/metrics` page of one engine: the families of vLLM that routers and dashboards read, under its names and labels. */
export class EngineMetrics {
  readonly timeToFirstToken = new Histogram(TTFT_BOUNDS)
  readonly interTokenLatency = new Histogram(ITL_BOUNDS)
  readonly #finished = new Map<FinishReason, number>(FINISH_REASONS.map(reason => [reason, 0]))
  readonly #common: Labels
  readonly #cacheConfig: Labels

  constructor({ model, blockSize, kvBlocks }: { readonly model: string; readonly blockSize: number; readonly kvBlocks: number }) {
    this.#common = { engine: '0', model_name: model }
    this.#cacheConfig = {
      block_size: String(blockSize),
      cache_dtype: 'auto',
      enable_prefix_caching: 'True',
      engine: '0',
      kv_cache_size_tokens: String(blockSize * kvBlocks),
      num_gpu_blocks: String(kvBlocks),
      prefix_caching_hash_algo: 'sha256_cbor',
    }
  }

  finished(reason: FinishReason): void {
    this.#finished.set(reason, (this.#finished.get(reason) ?? 0) + 1)
  }

  render(stats: SimulatedEngineStats): string {
    const single = (value: number): Sample[] => [{ value }]
    const family = (name: string, type: string, help: string, samples: readonly Sample[], common: Labels = this.#common) =>
      [
        `# HELP vllm:${name} ${help}`,
        `# TYPE vllm:${name} ${type}`,
        ...samples.map(
          ({ suffix = '', labels = {}, value }) => `vllm:${name}${suffix}${labelText({ ...common, ...labels })} ${numberText(value)}`,
        ),
      ].join('\n')
    return `${[
      family('num_requests_running', 'gauge', 'Requests in the batch.', single(stats.runningRequests)),
      family('num_requests_waiting', 'gauge', 'Requests that wait to be scheduled.', single(stats.waitingRequests)),
      family('engine_sleep_state', 'gauge', 'One of the states is 1.', [
        { labels: { sleep_state: 'awake' }, value: 1 },
        { labels: { sleep_state: 'weights_offloaded' }, value: 0 },
        { labels: { sleep_state: 'discard_all' }, value: 0 },
      ]),
      family('kv_cache_usage_perc', 'gauge', 'Used share of the KV cache, 0 to 1.', single(stats.kvUsage)),
      family('prefix_cache_queries_total', 'counter', 'Prompt tokens looked up in the prefix cache.', single(stats.prefixCacheQueries)),
      family('prefix_cache_hits_total', 'counter', 'Prompt tokens found in the prefix cache.', single(stats.prefixCacheHits)),
      family('num_preemptions_total', 'counter', 'Requests that gave up their blocks.', single(stats.preemptions)),
      family('prompt_tokens_total', 'counter', 'Prompt tokens processed, cached ones included.', single(stats.promptTokens)),
      family('generation_tokens_total', 'counter', 'Tokens generated.', single(stats.outputTokens)),
      family(
        'request_success_total',
        'counter',
        'Requests that ended.',
        Array.from(this.#finished, ([reason, value]) => ({ labels: { finished_reason: reason }, value })),
      ),
      family('time_to_first_token_seconds', 'histogram', 'From arrival to the first token.', histogramSamples(this.timeToFirstToken)),
      family('inter_token_latency_seconds', 'histogram', 'Between two tokens of a request.', histogramSamples(this.interTokenLatency)),
      family('cache_config_info', 'gauge', 'The cache configuration, as labels.', [{ labels: this.#cacheConfig, value: 1 }], {}),
    ].join('\n')}\n`
  }
}

function histogramSamples(histogram: Histogram): Sample[] {
  const { bounds, sum, count } = histogram
  return [
    ...histogram.cumulative().map((value, index) => ({ suffix: '_bucket', labels: { le: numberText(bounds[index] as number) }, value })),
    { suffix: '_bucket', labels: { le: '+Inf' }, value: count },
    { suffix: '_count', value: count },
    { suffix: '_sum', value: sum },
  ]
}

/** Labels in order of their names, as Python's client writes them. */
function labelText(labels: Labels): string {
  const parts = Object.keys(labels)
    .sort()
    .map(name => `${name}="${(labels[name] as string).replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"')}"`)
  return `{${parts.join(',')}}`
}

/** Whole numbers carry `.0`, as Python writes floats. */
function numberText(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value)
}
