import type { EngineConnection } from '../engine.js'
import { requestText, unfit } from './engine-http.js'
import { type PrometheusSample, readPrometheusText } from './prometheus-text.js'

/** The metrics page of one engine, cut by data-parallel rank. */
export interface MetricsByRank {
  /** In order of rank. An engine may count from any rank, or in text; its place in this list is the rank. */
  readonly ranks: readonly RankMetrics[]
}

export interface RankMetrics {
  /** The first sample of the metric that has these labels; undefined when there is none. */
  find(name: string, labels?: Readonly<Record<string, string>>): PrometheusSample | undefined
  /** Its value; a page without it does not fit the engine's protocol. */
  need(name: string): number
  /** Sum over all samples of the metric; undefined when there is none. */
  sum(name: string): number | undefined
}

/**
 * Reads `/metrics`. `rankLabel` names the label that tells ranks apart; samples without it belong to the only rank
 * there is.
 */
export async function readMetrics(connection: EngineConnection, rankLabel: string, names: readonly string[]): Promise<MetricsByRank> {
  const samples = readPrometheusText(await requestText(connection, { path: '/metrics' }), names)
  const labels = new Set<string>()
  for (const list of samples.values())
    for (const sample of list) if (rankLabel in sample.labels) labels.add(sample.labels[rankLabel] as string)
  const ranks = labels.size === 0 ? [undefined] : [...labels].sort((a, b) => Number(a) - Number(b))
  return { ranks: ranks.map(rank => rankMetrics(samples, sample => ranks.length === 1 || sample.labels[rankLabel] === rank)) }
}

function rankMetrics(
  samples: ReadonlyMap<string, readonly PrometheusSample[]>,
  ofRank: (sample: PrometheusSample) => boolean,
): RankMetrics {
  const find: RankMetrics['find'] = (name, labels = {}) =>
    samples.get(name)?.find(sample => ofRank(sample) && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
  return {
    find,
    need(name) {
      const sample = find(name)
      if (sample === undefined) throw unfit('/metrics', `expected the metric ${name}`)
      return sample.value
    },
    sum(name) {
      const list = samples.get(name)?.filter(ofRank) ?? []
      return list.length === 0 ? undefined : list.reduce((total, sample) => total + sample.value, 0)
    },
  }
}
