import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { EngineMetrics } from './metrics.js'

const stats = {
  runningRequests: 2,
  waitingRequests: 1,
  kvUsage: 0.25,
  prefixCacheQueries: 100,
  prefixCacheHits: 48,
  promptTokens: 90,
  outputTokens: 30,
  preemptions: 1,
  steps: 40,
  completedRequests: 3,
}

interface Page {
  /** Metric name to its TYPE. */
  readonly types: ReadonlyMap<string, string>
  /** Sample name and label names, values of `le`, `sleep_state` and `finished_reason` included. */
  readonly samples: ReadonlySet<string>
}

function read(text: string): Page {
  const types = new Map<string, string>()
  const samples = new Set<string>()
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line)
    if (type) types.set(type[1] as string, type[2] as string)
    const sample = /^(vllm:[a-z_]+)\{(.*)\} \S+$/.exec(line)
    if (sample === null) continue
    const labels = [...(sample[2] as string).matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) =>
      ['le', 'sleep_state', 'finished_reason'].includes(name as string) ? `${name}=${value}` : name,
    )
    samples.add(`${sample[1]}{${labels.join()}}`)
  }
  return { types, samples }
}

describe('the metrics page', () => {
  const metrics = new EngineMetrics({ model: 'tiny', blockSize: 32, kvBlocks: 40 })
  metrics.finished('length')
  metrics.timeToFirstToken.observe(0.03)
  metrics.timeToFirstToken.observe(5000)
  const page = metrics.render(stats)
  const captured = read(readFileSync(new URL('../../../test-fixtures/vllm-metrics.txt', import.meta.url), 'utf8'))

  it('has the types, labels, label values and buckets of a real vLLM page', () => {
    const own = read(page)
    for (const [name, type] of own.types) expect([name, captured.types.get(name)]).toEqual([name, type])
    for (const sample of own.samples) {
      if (sample.startsWith('vllm:cache_config_info')) continue
      expect(captured.samples).toContain(sample)
    }
    const families = [...own.types.keys()].filter(name => name !== 'vllm:cache_config_info')
    for (const sample of captured.samples) {
      if (families.some(name => sample.startsWith(`${name}{`) || (sample.startsWith(`${name}_`) && !sample.includes('_created')))) {
        if (!/_by_reason|_cached|_by_source/.test(sample)) expect(own.samples).toContain(sample)
      }
    }
  })

  it('carries the numbers', () => {
    const lines = page.split('\n')
    const common = 'engine="0",model_name="tiny"'
    expect(lines).toEqual(
      expect.arrayContaining([
        `vllm:num_requests_running{${common}} 2.0`,
        `vllm:num_requests_waiting{${common}} 1.0`,
        `vllm:kv_cache_usage_perc{${common}} 0.25`,
        `vllm:prefix_cache_queries_total{${common}} 100.0`,
        `vllm:prefix_cache_hits_total{${common}} 48.0`,
        `vllm:num_preemptions_total{${common}} 1.0`,
        `vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"} 1.0`,
        `vllm:engine_sleep_state{engine="0",model_name="tiny",sleep_state="awake"} 1.0`,
        `vllm:time_to_first_token_seconds_bucket{engine="0",le="0.02",model_name="tiny"} 0.0`,
        `vllm:time_to_first_token_seconds_bucket{engine="0",le="0.04",model_name="tiny"} 1.0`,
        `vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="tiny"} 2.0`,
        `vllm:time_to_first_token_seconds_count{${common}} 2.0`,
        `vllm:time_to_first_token_seconds_sum{${common}} 5000.03`,
      ]),
    )
    expect(page).toMatch(/vllm:cache_config_info\{.*block_size="32".*num_gpu_blocks="40".*\} 1\.0\n/)
  })
})
