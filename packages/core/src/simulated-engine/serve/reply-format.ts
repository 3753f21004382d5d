import type { SimulatedResult } from '../model/engine.js'
import type { GenerationRequest } from './request-body.js'
import type { SimulatedTokenizer } from './tokenizer.js'

export interface ReplyFormatOptions {
  readonly id: string
  /** Unix seconds. */
  readonly created: number
  readonly request: GenerationRequest
  readonly tokenizer: SimulatedTokenizer
  readonly promptTokensDetails: boolean
}

/** One request's replies in vLLM's shapes; chunks are put together from prepared text, since one is written per token. */
export interface ReplyFormat {
  /** The SSE event of one token. `produced` counts it; `finishReason` is set on the last one. */
  chunk(token: number, produced: number, finishReason: string | null): string
  /** What follows the last chunk. */
  tail(result: SimulatedResult): string
  /** The reply of a request that does not stream. */
  whole(tokens: Uint32Array, result: SimulatedResult): string
}

export function createReplyFormat({ id, created, request, tokenizer, promptTokensDetails }: ReplyFormatOptions): ReplyFormat {
  const { kind, model, prompt, returnTokenIds, includeUsage, continuousUsage, finishReason } = request
  const chat = kind === 'chat'
  const about = (object: string) => `{"id":${JSON.stringify(id)},"object":"${object}","created":${created},"model":${JSON.stringify(model)}`
  const head = `data: ${about(chat ? 'chat.completion.chunk' : 'text_completion')}`
  const promptIds = returnTokenIds ? JSON.stringify(Array.from(prompt)) : 'null'

  const usageAfter = (produced: number) =>
    `{"prompt_tokens":${prompt.length},"total_tokens":${prompt.length + produced},"completion_tokens":${produced}`
  const chunkEnd = (produced: number) => (continuousUsage ? `],"usage":${usageAfter(produced)}}}\n\n` : ']}\n\n')

  const chunkOf = (choice: string, produced: number, rest = '') =>
    `${head},"choices":[${choice}${rest === '' ? chunkEnd(produced) : `]${rest}${chunkEnd(produced).slice(1)}`}`
  const reason = (value: string | null) => `"finish_reason":${value === null ? 'null' : `"${value}"`}`
  const idsOf = (token: number) => (returnTokenIds ? `[${token}]` : 'null')

  const chatChunk = (token: number, produced: number, last: string | null) => {
    const text = JSON.stringify(tokenizer.render(token))
    const role =
      produced === 1
        ? chunkOf(
            '{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}',
            0,
            `,"prompt_token_ids":${promptIds}`,
          )
        : ''
    return `${role}${chunkOf(
      `{"index":0,"delta":{"content":${text}},"logprobs":null,${reason(last)},"token_ids":${idsOf(token)}}`,
      produced,
    )}`
  }
  const completionChunk = (token: number, produced: number, last: string | null) =>
    chunkOf(
      `{"index":0,"text":${JSON.stringify(tokenizer.render(token))},"logprobs":null,${reason(last)},"stop_reason":null,` +
        `"prompt_token_ids":${produced === 1 ? promptIds : 'null'},"token_ids":${idsOf(token)}}`,
      produced,
    )

  return {
    chunk: chat ? chatChunk : completionChunk,
    tail(result) {
      const details = promptTokensDetails ? `,"prompt_tokens_details":{"cached_tokens":${result.cachedTokens}}` : ''
      const usage = includeUsage ? `${head},"choices":[],"usage":${usageAfter(result.outputTokens)}${details}}}\n\n` : ''
      return `${usage}data: [DONE]\n\n`
    },
    whole(tokens, result) {
      const text = tokenizer.decode(tokens)
      const ids = returnTokenIds ? Array.from(tokens) : null
      const usage = {
        prompt_tokens: prompt.length,
        total_tokens: prompt.length + result.outputTokens,
        completion_tokens: result.outputTokens,
        prompt_tokens_details: promptTokensDetails
          ? { cached_tokens: result.cachedTokens, created_cache_tokens: null, multimodal_tokens: null }
          : null,
        completion_tokens_details: null,
      }
      const rest = { service_tier: null, system_fingerprint: null, usage, kv_transfer_params: null }
      const ended = { logprobs: null, finish_reason: finishReason, stop_reason: null, token_ids: ids }
      if (!chat) {
        const choice = { index: 0, text, ...ended, prompt_logprobs: null, prompt_token_ids: returnTokenIds ? Array.from(prompt) : null }
        return JSON.stringify({ id, object: 'text_completion', created, model, choices: [choice], ...rest })
      }
      const message = {
        role: 'assistant',
        content: text,
        refusal: null,
        annotations: null,
        audio: null,
        function_call: null,
        reasoning: null,
      }
      return JSON.stringify({
        id,
        object: 'chat.completion',
        created,
        model,
        choices: [{ index: 0, message, ...ended }],
        ...rest,
        prompt_logprobs: null,
        prompt_token_ids: returnTokenIds ? Array.from(prompt) : null,
      })
    },
  }
}
