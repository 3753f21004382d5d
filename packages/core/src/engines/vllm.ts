import * as v from 'valibot'
import type { EngineAdapter, EngineConnection, EngineLoad, KvEventEndpoint } from '../engine.js'
import { parseOptions } from '../options.js'
import { requestJson, requestText } from './engine-http.js'
import { readMetrics } from './metrics-by-rank.js'
import { readModels, tokenizeThroughEngine } from './openai-routes.js'
import { connectAddress } from './zmq-address.js'

export interface VllmOptions {
  /**
   * Where rank 0 publishes, for builds without `GET /kv_event_sources` (before 0.33): what `--kv-events-config` says.
   * Rank r is taken to use each port plus r. Default: only what the engine reports.
   */
  readonly kvEvents?: {
    /** `tcp://*:5557`; a wildcard host stands for the host of the worker's URL. */
    readonly endpoint: string
    readonly replayEndpoint?: string
    /** Default: all. */
    readonly topic?: string
  }
}

const address = v.pipe(v.string(), v.regex(/^(tcp|ipc|inproc):\/\/./, 'must be a ZMQ address such as tcp://*:5557'))
const optionsSchema = v.optional(
  v.strictObject({
    kvEvents: v.optional(v.strictObject({ endpoint: address, replayEndpoint: v.optional(address), topic: v.optional(v.string()) })),
  }),
  {},
)

const RUNNING = 'vllm:num_requests_running'
const WAITING = 'vllm:num_requests_waiting'
const KV_USAGE = 'vllm:kv_cache_usage_perc'
const QUERIES = 'vllm:prefix_cache_queries_total'
const HITS = 'vllm:prefix_cache_hits_total'
const SLEEP = 'vllm:engine_sleep_state'
const CACHE_CONFIG = 'vllm:cache_config_info'
/** vLLM's label for the data-parallel rank. */
const RANK_LABEL = 'engine'

const SOURCES_PATH = '/kv_event_sources'
const source = v.object({ endpoint: v.string(), replay_endpoint: v.nullish(v.string()), topic: v.nullish(v.string(), '') })
const sourcesSchema = v.union([
  v.array(v.object({ ...source.entries, data_parallel_rank: v.nullish(v.pipe(v.number(), v.integer()), 0) })),
  v.record(v.pipe(v.string(), v.digits()), source),
])

/** vLLM, from 0.10 on; KV events by themselves from 0.33 on, else with `kvEvents`. */
export function vllm(options?: VllmOptions): EngineAdapter {
  const { kvEvents } = parseOptions('vllm', optionsSchema, options)
  return {
    name: 'vllm',
    rankHeader: 'X-data-parallel-rank',
    async health(connection) {
      await requestText(connection, { path: '/health' })
    },
    async describe(connection) {
      const [about, models, { ranks }] = await Promise.all([
        requestJson(connection, { path: '/version', absentOn: [404] }, v.object({ version: v.string() })),
        readModels(connection),
        readMetrics(connection, RANK_LABEL, [RUNNING, CACHE_CONFIG]),
      ])
      const cache = ranks[0]?.find(CACHE_CONFIG)?.labels
      const blockSize = Number(cache?.block_size)
      const kvBlocks = Number(cache?.num_gpu_blocks)
      return {
        ...(about === undefined ? {} : { version: about.version }),
        models,
        ...(blockSize > 0 ? { blockSize } : {}),
        dataParallelRanks: ranks.length,
        ...(kvBlocks > 0 ? { capacity: { kvBlocks } } : {}),
      }
    },
    async load(connection) {
      const { ranks } = await readMetrics(connection, RANK_LABEL, [RUNNING, WAITING, KV_USAGE, QUERIES, HITS, SLEEP])
      const at = connection.clock.now()
      return ranks.map((rank): EngineLoad => {
        const queries = rank.find(QUERIES)
        const hits = rank.find(HITS)
        const awake = rank.find(SLEEP, { sleep_state: 'awake' })
        return {
          runningRequests: rank.need(RUNNING),
          waitingRequests: rank.need(WAITING),
          kvUsage: rank.need(KV_USAGE),
          ...(queries === undefined ? {} : { prefixCacheQueries: queries.value }),
          ...(hits === undefined ? {} : { prefixCacheHits: hits.value }),
          ...(awake === undefined ? {} : { awake: awake.value > 0 }),
          at,
        }
      })
    },
    async kvEventEndpoints(connection) {
      const sources = await requestJson(connection, { path: SOURCES_PATH, absentOn: [404] }, sourcesSchema)
      if (sources !== undefined) return reported(connection, sources)
      if (kvEvents === undefined) return []
      const { ranks } = await readMetrics(connection, RANK_LABEL, [RUNNING])
      return ranks.map((_, rank) => ({
        rank,
        wire: 'vllm',
        endpoint: shifted(connectAddress(kvEvents.endpoint, connection.url, SOURCES_PATH), rank),
        ...(kvEvents.replayEndpoint === undefined
          ? {}
          : { replayEndpoint: shifted(connectAddress(kvEvents.replayEndpoint, connection.url, SOURCES_PATH), rank) }),
        topic: kvEvents.topic ?? '',
      }))
    },
    tokenize: tokenizeThroughEngine,
  }
}

/**
 * The engine reports what each rank resolved to: its port is that rank's own already. Ranks are the engine's place in
 * the list, as they are in `X-data-parallel-rank`: a server that runs ranks 4 to 7 of a group takes 0 to 3 there.
 */
function reported({ url }: EngineConnection, sources: v.InferOutput<typeof sourcesSchema>): KvEventEndpoint[] {
  const list = Array.isArray(sources)
    ? sources.map(entry => ({ ...entry, rank: entry.data_parallel_rank ?? 0 }))
    : Object.entries(sources).map(([rank, entry]) => ({ ...entry, rank: Number(rank) }))
  return list
    .sort((a, b) => a.rank - b.rank)
    .map((entry, rank) => ({
      rank,
      wire: 'vllm',
      endpoint: connectAddress(entry.endpoint, url, SOURCES_PATH),
      ...(entry.replay_endpoint == null ? {} : { replayEndpoint: connectAddress(entry.replay_endpoint, url, SOURCES_PATH) }),
      topic: entry.topic ?? '',
    }))
}

function shifted(endpoint: string, rank: number): string {
  return endpoint.replace(/^(tcp:.*:)(\d+)$/, (_, base: string, port: string) => base + (Number(port) + rank))
}
