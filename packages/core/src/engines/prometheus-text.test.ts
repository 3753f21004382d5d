import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readPrometheusText } from './prometheus-text.js'

const read = (page: string, name = 'm') => readPrometheusText(page, [name]).get(name)

describe('the Prometheus text reader', () => {
  it('reads the metrics asked for from a page of vLLM', () => {
    const page = readFileSync(new URL('../../test-fixtures/vllm-metrics.txt', import.meta.url), 'utf8')
    const samples = readPrometheusText(page, ['vllm:num_requests_waiting', 'vllm:num_requests_waiting_by_reason', 'vllm:nothing'])
    expect(samples.get('vllm:num_requests_waiting')).toEqual([{ labels: { engine: '0', model_name: 'tiny' }, value: 0 }])
    expect(samples.get('vllm:num_requests_waiting_by_reason')?.map(({ labels }) => labels.reason)).toEqual(['capacity', 'deferred'])
    expect(samples.get('vllm:nothing')).toEqual([])
    expect(read(page, 'vllm:cache_config_info')?.[0]?.labels).toMatchObject({
      block_size: '32',
      num_gpu_blocks: '40',
      kv_cache_dtype_skip_layers: '[]',
    })
  })

  it.each([
    ['m 1', { labels: {}, value: 1 }],
    ['m\t1.5e3 1700000000000', { labels: {}, value: 1500 }],
    ['m{} 2', { labels: {}, value: 2 }],
    ['m{a="x"} +Inf', { labels: { a: 'x' }, value: Number.POSITIVE_INFINITY }],
    ['m{a="x",} -Inf', { labels: { a: 'x' }, value: Number.NEGATIVE_INFINITY }],
    ['m{ a = "x" , b = "y" } NaN', { labels: { a: 'x', b: 'y' }, value: Number.NaN }],
    ['m{a="q\\"u}o\\\\te\\nd, b=\\"1"} 3', { labels: { a: 'q"u}o\\te\nd, b="1' }, value: 3 }],
    ['m{a="x"} 4 # {trace_id="1"} 0.5', { labels: { a: 'x' }, value: 4 }],
  ])('reads %s', (line, sample) => {
    expect(read(`# HELP m about m 9\n${line}\nother 5`)).toEqual([sample])
    expect(read(`${line}\r\n`)).toEqual([sample])
  })

  it.each(['m', 'm{', 'm{a="x', 'm{a=x} 1', 'm{a="x"', 'm one', 'mm 1', '#m 1', 'm{a="x"}'])('skips %s and reads on', line => {
    expect(read(`${line}\nm 7`)).toEqual([{ labels: {}, value: 7 }])
  })

  it('reads any label value back as it was escaped', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.double({ noNaN: true }).map(value => value || 0),
        (a, b, value) => {
          const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
          const text = Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf'
          expect(read(`m{a="${escaped(a)}",b="${escaped(b)}"} ${text}`)).toEqual([{ labels: { a, b }, value }])
        },
      ),
    )
  })

  it('never throws, whatever the page', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('m', '{', '}', 'a', '=', '"', '\\', ',', ' ', '1', '\n', '#')).map(parts => parts.join('')),
        page => void read(page),
      ),
    )
  })
})
