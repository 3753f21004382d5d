import { describe, expect, it } from 'vitest'
import { promptFromBody } from './prompt-from-body.js'

describe('reading a prompt from a client body', () => {
  it('takes ids as they are', () => {
    const { prompt, routing } = promptFromBody('/v1/completions', { model: 'm', prompt: [5, 6, 7], max_tokens: 9 })
    expect(prompt).toEqual({ kind: 'tokens', tokens: Uint32Array.of(5, 6, 7) })
    expect(routing).toEqual({ model: 'm', tokens: Uint32Array.of(5, 6, 7), promptTokens: 3, maxOutputTokens: 9 })
  })

  it.each([
    ['a text', 'twelve chars', { kind: 'text', model: 'm', text: 'twelve chars' }, 3],
    ['a list of one text', ['twelve chars'], { kind: 'text', model: 'm', text: 'twelve chars' }, 3],
    ['a list of one list of ids', [[1, 2]], { kind: 'tokens', tokens: Uint32Array.of(1, 2) }, 2],
    ['several texts', ['four', 'eight ch'], undefined, 3],
    ['several lists of ids', [[1, 2], [3]], undefined, 3],
    ['ids out of range', [1, -1], undefined, 0],
    ['nothing', undefined, undefined, 0],
    ['an object', {}, undefined, 0],
  ])('reads %s', (_name, input, prompt, promptTokens) => {
    expect(promptFromBody('/v1/completions', { model: 'm', prompt: input })).toMatchObject({ prompt, routing: { promptTokens } })
  })

  it('estimates a chat from its texts and tools and hands on the body for the chat template', () => {
    const body = {
      model: 'm',
      messages: [
        { role: 'system', content: 'be brief' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'what is this' },
            { type: 'image_url', image_url: { url: 'data:…' } },
          ],
        },
        { role: 'assistant', content: null },
        null,
      ],
      max_tokens: 100,
      max_completion_tokens: 50,
    }
    expect(promptFromBody('/v1/chat/completions', body)).toEqual({
      prompt: { kind: 'chat', model: 'm', body },
      routing: { model: 'm', promptTokens: 5, maxOutputTokens: 50 },
    })
    const tools = [{ type: 'function', function: { name: 'look_up' } }]
    expect(promptFromBody('/v1/chat/completions', { ...body, tools }).routing.promptTokens).toBeGreaterThan(5 + 10)
  })

  it('picks up what parts the cache and what names the session', () => {
    const { routing } = promptFromBody('/v1/chat/completions', {
      messages: [],
      cache_salt: 'tenant',
      lora_path: 'adapter',
      session_id: 's',
    })
    expect(routing).toEqual({ promptTokens: 0, cacheSalt: 'tenant', lora: 'adapter', sessionId: 's' })
  })

  it('leaves out what has the wrong type', () => {
    const { prompt, routing } = promptFromBody('/v1/chat/completions', {
      model: 7,
      messages: 'x',
      max_tokens: -1,
      cache_salt: [],
      lora_path: 1,
    })
    expect(prompt).toBeUndefined()
    expect(routing).toEqual({ promptTokens: 0 })
  })
})
