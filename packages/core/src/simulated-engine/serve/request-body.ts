import * as v from 'valibot'
import { ApiError, badRequest } from './api-error.js'
import type { ResolvedServeOptions } from './options.js'
import type { ChatMessage, SimulatedTokenizer } from './tokenizer.js'

/** What a completion request asks for, after checks and tokenization. */
export interface GenerationRequest {
  readonly kind: 'completion' | 'chat'
  readonly model: string
  readonly prompt: Uint32Array
  readonly maxTokens: number
  /** `stop` when the client set no limit: the answer then ends by itself. */
  readonly finishReason: 'length' | 'stop'
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
  readonly returnTokenIds: boolean
  readonly cacheSalt: string | undefined
}

const count = v.pipe(v.number(), v.safeInteger('must be a whole number'), v.minValue(1, 'must be at least 1'))
const tokenId = v.pipe(
  v.number(),
  v.integer('must be a token id'),
  v.minValue(0, 'must be a token id'),
  v.maxValue(2 ** 32 - 1, 'must be a token id'),
)
const common = {
  model: v.nullish(v.string()),
  n: v.nullish(v.literal(1, 'must be 1')),
  stream: v.nullish(v.boolean()),
  stream_options: v.nullish(v.object({ include_usage: v.nullish(v.boolean()), continuous_usage_stats: v.nullish(v.boolean()) })),
  max_tokens: v.nullish(count),
  return_token_ids: v.nullish(v.boolean()),
  cache_salt: v.nullish(v.pipe(v.string(), v.nonEmpty('must not be empty'))),
}
const completionSchema = v.object({
  ...common,
  prompt: v.union([v.string(), v.array(tokenId), v.array(v.string()), v.array(v.array(tokenId))], 'must be text or token ids'),
})
const messagesSchema = v.array(
  v.object({
    role: v.string(),
    content: v.nullish(v.union([v.string(), v.array(v.object({ type: v.string(), text: v.nullish(v.string()) }))])),
  }),
)
const chatSchema = v.object({ ...common, messages: messagesSchema, max_completion_tokens: v.nullish(count) })
const tokenizeSchema = v.union(
  [v.object({ prompt: v.string() }), v.object({ messages: messagesSchema })],
  'prompt or messages are required',
)

/** vLLM's default for completions (not for chats). */
const DEFAULT_COMPLETION_TOKENS = 16

export function parseCompletion(body: unknown, options: ResolvedServeOptions, tokenizer: SimulatedTokenizer): GenerationRequest {
  const request = parse(completionSchema, body)
  const maxTokens = request.max_tokens ?? DEFAULT_COMPLETION_TOKENS
  return { kind: 'completion', ...finish(request, onePrompt(request.prompt, tokenizer), maxTokens, 'length', options) }
}

export function parseChat(body: unknown, options: ResolvedServeOptions, tokenizer: SimulatedTokenizer): GenerationRequest {
  const request = parse(chatSchema, body)
  const prompt = tokenizer.encodeChat(turns(request.messages))
  const limit = request.max_completion_tokens ?? request.max_tokens
  const maxTokens = limit ?? Math.max(1, Math.min(options.defaultOutputTokens, options.maxModelLength - prompt.length))
  return { kind: 'chat', ...finish(request, prompt, maxTokens, limit == null ? 'stop' : 'length', options) }
}

export function parseTokenize(body: unknown, tokenizer: SimulatedTokenizer): Uint32Array {
  const request = parse(tokenizeSchema, body)
  return 'messages' in request ? tokenizer.encodeChat(turns(request.messages)) : tokenizer.encode(request.prompt)
}

function finish(
  request: v.InferOutput<typeof completionSchema> | v.InferOutput<typeof chatSchema>,
  prompt: Uint32Array,
  maxTokens: number,
  finishReason: GenerationRequest['finishReason'],
  options: ResolvedServeOptions,
): Omit<GenerationRequest, 'kind'> {
  const model = request.model ?? options.model
  if (model !== options.model) throw new ApiError(404, 'NotFoundError', `The model \`${model}\` does not exist.`)
  if (prompt.length === 0) throw badRequest('The prompt is empty.', 'prompt')
  if (prompt.length + maxTokens > options.maxModelLength) {
    throw badRequest(
      `${prompt.length} prompt tokens and ${maxTokens} output tokens exceed the model's length of ${options.maxModelLength} tokens.`,
      'input_tokens',
    )
  }
  return {
    model,
    prompt,
    maxTokens,
    finishReason,
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
    continuousUsage: request.stream_options?.continuous_usage_stats ?? false,
    returnTokenIds: request.return_token_ids ?? false,
    cacheSalt: request.cache_salt ?? undefined,
  }
}

/** One text or one list of ids, bare or as the only item of a list. */
function onePrompt(prompt: v.InferOutput<typeof completionSchema>['prompt'], tokenizer: SimulatedTokenizer): Uint32Array {
  if (typeof prompt === 'string') return tokenizer.encode(prompt)
  const first = prompt[0]
  if (first === undefined) return new Uint32Array(0)
  if (typeof first === 'number') return Uint32Array.from(prompt as number[])
  if (prompt.length > 1) throw badRequest('Only one prompt a request is simulated.', 'prompt')
  return typeof first === 'string' ? tokenizer.encode(first) : Uint32Array.from(first)
}

function turns(messages: v.InferOutput<typeof messagesSchema>): ChatMessage[] {
  return messages.map(({ role, content }) => ({
    role,
    content: typeof content === 'string' ? content : (content ?? []).map(part => part.text ?? '').join(''),
  }))
}

function parse<S extends v.GenericSchema>(schema: S, body: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, body, { abortEarly: true })
  if (result.success) return result.output
  const issue = result.issues[0] as v.BaseIssue<unknown>
  const field = v.getDotPath(issue)
  throw badRequest(
    `${field ?? 'body'}: ${issue.kind === 'validation' || issue.type === 'literal' || issue.type === 'union' ? issue.message : `expected ${issue.expected}`}`,
    field,
  )
}
