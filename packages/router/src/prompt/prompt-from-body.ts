import type { PromptInput } from '@kvfleet/core'
import { routerDefaults } from '../defaults.js'
import type { RoutingRequest } from '../routing-request.js'

export interface PromptFromBody {
  /** undefined for bodies with several prompts or none: there is no one prefix to look up. */
  readonly prompt: PromptInput | undefined
  /** What the body says of the fields of a RoutingRequest. */
  readonly routing: Partial<RoutingRequest>
}

type Body = Readonly<Record<string, unknown>>

/**
 * Reads what routing needs from the body of an OpenAI completion (`prompt`) or chat completion (`messages`). Lenient: what
 * it does not understand it leaves out, for the engine to refuse or to know better. `path` may be any path; one that
 * ends in `/chat/completions` takes `messages`, every other `prompt`.
 */
export function promptFromBody(path: string, body: Body): PromptFromBody {
  const model = text(body.model)
  const { prompt, promptTokens } = path.endsWith('/chat/completions') ? chatPrompt(body, model) : completionPrompt(body, model)
  const maxOutputTokens = count(body.max_completion_tokens) ?? count(body.max_tokens)
  const cacheSalt = text(body.cache_salt)
  // vLLM takes an adapter's name as the model, SGLang in a field of its own.
  const lora = text(body.lora_path)
  const sessionId = text(body.session_id)
  return {
    prompt,
    routing: {
      promptTokens,
      ...(model === undefined ? {} : { model }),
      ...(prompt?.kind === 'tokens' ? { tokens: prompt.tokens } : {}),
      ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
      ...(cacheSalt === undefined ? {} : { cacheSalt }),
      ...(lora === undefined ? {} : { lora }),
      ...(sessionId === undefined ? {} : { sessionId }),
    },
  }
}

interface ReadPrompt {
  readonly prompt: PromptInput | undefined
  /** Exact for ids, else from the text's length. */
  readonly promptTokens: number
}

/** A text, a list of ids, or a list of either. */
function completionPrompt({ prompt: input }: Body, model = ''): ReadPrompt {
  const single = Array.isArray(input) && input.length === 1 && typeof input[0] !== 'number' ? input[0] : input
  if (typeof single === 'string') return { prompt: { kind: 'text', model, text: single }, promptTokens: estimateTokens(single.length) }
  if (isTokenIds(single)) {
    const tokens = Uint32Array.from(single)
    return { prompt: { kind: 'tokens', tokens }, promptTokens: tokens.length }
  }
  if (!Array.isArray(single)) return { prompt: undefined, promptTokens: 0 }
  const promptTokens = single.reduce((sum: number, one) => sum + (Array.isArray(one) ? one.length : estimateTokens(textLength(one))), 0)
  return { prompt: undefined, promptTokens }
}

function chatPrompt(body: Body, model = ''): ReadPrompt {
  if (!Array.isArray(body.messages)) return { prompt: undefined, promptTokens: 0 }
  const characters = body.messages.reduce((sum: number, message) => sum + contentLength((message as Body | null)?.content), 0)
  return { prompt: { kind: 'chat', model, body }, promptTokens: estimateTokens(characters + toolsLength(body.tools)) }
}

/** A message's content is a text or a list of parts; images and sound are left to the engine to count. */
function contentLength(content: unknown): number {
  if (!Array.isArray(content)) return textLength(content)
  return content.reduce((sum: number, part) => sum + textLength((part as Body | null)?.text), 0)
}

/** Chat templates print tool definitions much as JSON does. */
function toolsLength(tools: unknown): number {
  return Array.isArray(tools) ? JSON.stringify(tools).length : 0
}

function estimateTokens(characters: number): number {
  return Math.ceil(characters / routerDefaults.charactersPerToken)
}

function textLength(value: unknown): number {
  return typeof value === 'string' ? value.length : 0
}

function isTokenIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every(id => Number.isInteger(id) && id >= 0 && id < 2 ** 32)
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined
}
