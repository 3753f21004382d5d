import * as v from 'valibot'
import type { EngineAdapter, EngineConnection } from '../engine.js'
import { requestJson, requestText } from './engine-http.js'
import { readMetrics } from './metrics-by-rank.js'
import { readModels, tokenizeThroughEngine } from './openai-routes.js'
import { connectAddress } from './zmq-address.js'

const RUNNING = 'sglang:num_running_reqs'
const WAITING = 'sglang:num_queue_reqs'
const KV_USAGE = 'sglang:token_usage'
const PROMPT_TOKENS = 'sglang:prompt_tokens_total'
const CACHED_TOKENS = 'sglang:cached_tokens_total'
const RANK_LABEL = 'dp_rank'

const INFO_PATH = '/server_info'
const count = v.pipe(v.number(), v.integer(), v.minValue(1))
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))
const infoSchema = v.object({
  version: v.nullish(v.string()),
  page_size: v.nullish(count),
  dp_size: v.nullish(count, 1),
  max_total_num_tokens: v.nullish(count),
  internal_states: v.nullish(v.array(v.object({ effective_max_running_requests_per_dp: v.nullish(count) })), []),
  kv_events: v.nullish(
    v.object({
      publisher: v.nullish(v.string()),
      endpoint_host: v.nullish(v.string(), '*'),
      endpoint_port_base: port,
      replay_endpoint_port_base: v.nullish(port),
      topic: v.nullish(v.string(), ''),
      dp_size: v.nullish(count),
    }),
  ),
})

/** SGLang from 0.5 on; `load` needs it started with `--enable-metrics`. */
export function sglang(): EngineAdapter {
  return {
    name: 'sglang',
    async health(connection) {
      await requestText(connection, { path: '/health' })
    },
    async describe(connection) {
      const [info, models] = await Promise.all([readInfo(connection), readModels(connection)])
      const { page_size: blockSize, max_total_num_tokens: tokens } = info
      const running = info.internal_states?.[0]?.effective_max_running_requests_per_dp
      const kvBlocks = blockSize != null && tokens != null ? Math.floor(tokens / blockSize) : undefined
      return {
        ...(info.version == null ? {} : { version: info.version }),
        models,
        ...(blockSize == null ? {} : { blockSize }),
        dataParallelRanks: info.dp_size ?? 1,
        capacity: {
          ...(running == null ? {} : { maxRunningRequests: running }),
          ...(kvBlocks === undefined ? {} : { kvBlocks }),
        },
      }
    },
    async load(connection) {
      const { ranks } = await readMetrics(connection, RANK_LABEL, [RUNNING, WAITING, KV_USAGE, PROMPT_TOKENS, CACHED_TOKENS])
      const at = connection.clock.now()
      return ranks.map(rank => {
        // Counted per server, not per rank, and by cache tier: of use where there is one rank.
        const queries = ranks.length === 1 ? rank.sum(PROMPT_TOKENS) : undefined
        const hits = ranks.length === 1 ? (rank.sum(CACHED_TOKENS) ?? 0) : undefined
        return {
          runningRequests: rank.need(RUNNING),
          waitingRequests: rank.need(WAITING),
          kvUsage: Math.min(1, rank.need(KV_USAGE)),
          ...(queries === undefined || hits === undefined ? {} : { prefixCacheQueries: queries, prefixCacheHits: hits }),
          at,
        }
      })
    },
    async kvEventEndpoints(connection) {
      const { kv_events: events, dp_size: dpSize } = await readInfo(connection)
      if (events == null || events.publisher === 'null') return []
      const { replay_endpoint_port_base: replayBase } = events
      const at = (base: number, rank: number) => connectAddress(`tcp://${events.endpoint_host}:${base + rank}`, connection.url, INFO_PATH)
      return Array.from({ length: events.dp_size ?? dpSize ?? 1 }, (_, rank) => ({
        rank,
        wire: 'sglang',
        endpoint: at(events.endpoint_port_base, rank),
        ...(replayBase == null ? {} : { replayEndpoint: at(replayBase, rank) }),
        topic: events.topic ?? '',
      }))
    },
    tokenize: tokenizeThroughEngine,
  }
}

function readInfo(connection: EngineConnection): Promise<v.InferOutput<typeof infoSchema>> {
  return requestJson(connection, { path: INFO_PATH }, infoSchema)
}
