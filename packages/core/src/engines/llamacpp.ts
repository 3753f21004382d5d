import * as v from 'valibot'
import type { EngineAdapter, EngineConnection } from '../engine.js'
import { requestJson, requestText, unfit } from './engine-http.js'
import { readMetrics } from './metrics-by-rank.js'
import { postTokenize, readModels } from './openai-routes.js'

const propsSchema = v.object({ total_slots: v.pipe(v.number(), v.integer(), v.minValue(1)), build_info: v.optional(v.string()) })

const RUNNING = 'llamacpp:requests_processing'
const WAITING = 'llamacpp:requests_deferred'
const COMPUTED = 'llamacpp:prompt_tokens_total'
const CACHED = 'llamacpp:prompt_tokens_cached_total'

/** llama.cpp's `llama-server`; `load` needs it started with `--metrics`. */
export function llamacpp(): EngineAdapter {
  return {
    name: 'llamacpp',
    // 503 while the model loads.
    async health(connection) {
      await requestText(connection, { path: '/health' })
    },
    async describe(connection) {
      const [props, models] = await Promise.all([readProps(connection), readModels(connection)])
      return {
        ...(props.build_info === undefined ? {} : { version: props.build_info }),
        models,
        dataParallelRanks: 1,
        capacity: { maxRunningRequests: props.total_slots },
      }
    },
    async load(connection) {
      const [props, { ranks }] = await Promise.all([
        readProps(connection),
        readMetrics(connection, 'engine', [RUNNING, WAITING, COMPUTED, CACHED]),
      ])
      const at = connection.clock.now()
      return ranks.map(metrics => {
        const runningRequests = metrics.need(RUNNING)
        const computed = metrics.sum(COMPUTED)
        const cached = metrics.sum(CACHED)
        return {
          runningRequests,
          waitingRequests: metrics.need(WAITING),
          // The server reports no cell count; every slot owns an equal part of the cache, so busy slots bound it.
          kvUsage: Math.min(1, runningRequests / props.total_slots),
          ...(computed === undefined || cached === undefined ? {} : { prefixCacheQueries: computed + cached, prefixCacheHits: cached }),
          at,
        }
      })
    },
    async tokenize(connection, prompt) {
      if (prompt.kind === 'tokens') return prompt.tokens
      const content = prompt.kind === 'text' ? prompt.text : await applyTemplate(connection, prompt.body)
      // What the completion routes do with a prompt: BOS where the model wants it, special tokens as such.
      return postTokenize(connection, '/tokenize', { content, add_special: true, parse_special: true })
    },
  }
}

function readProps(connection: EngineConnection): Promise<v.InferOutput<typeof propsSchema>> {
  return requestJson(connection, { path: '/props' }, propsSchema)
}

async function applyTemplate(connection: EngineConnection, body: Readonly<Record<string, unknown>>): Promise<string> {
  const path = '/apply-template'
  if (!Array.isArray(body.messages)) throw unfit(path, 'a chat needs messages')
  const { stream: _, ...rest } = body
  const { prompt } = await requestJson(connection, { path, body: rest }, v.object({ prompt: v.string() }))
  return prompt
}
