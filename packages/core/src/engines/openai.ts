import type { EngineAdapter } from '../engine.js'
import { readModels } from './openai-routes.js'

/** Any server with OpenAI's routes and nothing more: no load report, no KV events, no tokens. */
export function openai(): EngineAdapter {
  return {
    name: 'openai',
    async health(connection) {
      await readModels(connection)
    },
    describe: async connection => ({ models: await readModels(connection) }),
  }
}
