import * as v from 'valibot'
import type { EngineConnection, PromptInput } from '../engine.js'
import { requestJson } from './engine-http.js'

const modelsSchema = v.object({ data: v.array(v.object({ id: v.string() })) })
const tokensSchema = v.object({ tokens: v.array(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_ffff))) })

/** Names that the engine serves, the base model first where the engine lists it first. */
export async function readModels(connection: EngineConnection): Promise<string[]> {
  const { data } = await requestJson(connection, { path: '/v1/models' }, modelsSchema)
  return data.map(model => model.id)
}

/** The ids of an answer of the shape `{tokens: […]}`. */
export async function postTokenize(
  connection: EngineConnection,
  path: string,
  body: Readonly<Record<string, unknown>>,
): Promise<Uint32Array> {
  const { tokens } = await requestJson(connection, { path, body }, tokensSchema)
  return Uint32Array.from(tokens)
}

/** What of a chat request decides its ids: these fields, by the names of vLLM's and SGLang's /tokenize. */
const CHAT_FIELDS = [
  'messages',
  'tools',
  'add_generation_prompt',
  'continue_final_message',
  'add_special_tokens',
  'chat_template',
  'chat_template_kwargs',
  'media_io_kwargs',
  'mm_processor_kwargs',
] as const

/** POST /tokenize as vLLM and SGLang serve it: a prompt, or a chat with its template applied. */
export async function tokenizeThroughEngine(connection: EngineConnection, prompt: PromptInput): Promise<Uint32Array> {
  if (prompt.kind === 'tokens') return prompt.tokens
  if (prompt.kind === 'text') return postTokenize(connection, '/tokenize', { model: prompt.model, prompt: prompt.text })
  const fields = CHAT_FIELDS.filter(field => prompt.body[field] !== undefined).map(field => [field, prompt.body[field]] as const)
  return postTokenize(connection, '/tokenize', { model: prompt.model, add_generation_prompt: true, ...Object.fromEntries(fields) })
}
