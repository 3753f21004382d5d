import { type EngineAdapter, KvFleetError, type PromptInput } from '@kvfleet/core'
import { describe, expect, it } from 'vitest'
import { createTestFleet } from '../testing/index.js'
import { engineTokens } from './engine-tokens.js'

const text = (content: string, model = ''): PromptInput => ({ kind: 'text', model, text: content })

/** Engines whose tokenizer gives the text's length and notes who was asked. */
function setup(tokenize?: NonNullable<EngineAdapter['tokenize']>) {
  const asked: string[] = []
  const test = createTestFleet()
  const engine = (id: string): EngineAdapter => ({
    name: 'test',
    health: async () => {},
    async tokenize(connection, prompt) {
      asked.push(id)
      if (tokenize !== undefined) return tokenize(connection, prompt)
      return Uint32Array.of(prompt.kind === 'text' ? prompt.text.length : 0)
    },
  })
  return { ...test, asked, addWorker: (id: string, spec = {}) => test.addWorker(id, { engine: engine(id), ...spec }) }
}

describe('token ids from the engines', () => {
  it('asks the workers in turn and remembers recent prompts', async () => {
    const { fleet, addWorker, asked } = setup()
    for (const id of ['a', 'b']) await addWorker(id)
    const source = engineTokens()
    for (const prompt of ['one', 'three', 'one', 'three', 'fifteen']) {
      expect(await source.tokens(text(prompt), { fleet })).toEqual(Uint32Array.of(prompt.length))
    }
    expect(asked).toEqual(['a', 'b', 'a'])
  })

  it('keeps the ids of each fleet apart', async () => {
    const fleets = [setup(async () => Uint32Array.of(1)), setup(async () => Uint32Array.of(2))]
    for (const { addWorker } of fleets) await addWorker('a')
    const source = engineTokens()
    for (let round = 0; round < 2; round++) {
      for (const [at, { fleet }] of fleets.entries()) expect(await source.tokens(text('x', 'm'), { fleet })).toEqual(Uint32Array.of(at + 1))
    }
    expect(fleets.map(({ asked }) => asked.length)).toEqual([1, 1])
  })

  it('tells prompts of different kinds and models apart', async () => {
    const { fleet, addWorker, asked } = setup()
    await addWorker('a')
    const source = engineTokens()
    await source.tokens(text('x', 'm'), { fleet })
    await source.tokens(text('x', 'n'), { fleet })
    await source.tokens({ kind: 'chat', model: 'm', body: { messages: [] } }, { fleet })
    await source.tokens({ kind: 'chat', model: 'm', body: { messages: [1] } }, { fleet })
    expect(asked).toHaveLength(4)
  })

  it('forgets the least recently used beyond the byte limit, and all at 0', async () => {
    const { fleet, addWorker, asked } = setup()
    await addWorker('a')
    const small = engineTokens({ maxCacheBytes: 700 })
    for (const prompt of ['1', '22', '1', '333', '1', '22']) await small.tokens(text(prompt), { fleet })
    expect(asked).toHaveLength(4)
    const none = engineTokens({ maxCacheBytes: 0 })
    for (const prompt of ['1', '1']) await none.tokens(text(prompt), { fleet })
    expect(asked).toHaveLength(6)
  })

  it('asks only workers that serve the model and can tokenize, and gives up when there are none', async () => {
    const { fleet, addWorker, asked } = setup()
    await addWorker('plain', { engine: { name: 'plain', health: async () => {} } })
    await addWorker('other', { models: ['n'] })
    expect(await engineTokens().tokens(text('x', 'm'), { fleet })).toBeUndefined()
    await addWorker('right', { models: ['m'] })
    expect(await engineTokens().tokens(text('x', 'm'), { fleet })).toEqual(Uint32Array.of(1))
    expect(asked).toEqual(['right'])
  })

  it('tries one other worker when the first fails', async () => {
    let failures = 1
    const { fleet, addWorker, asked } = setup(async () => {
      if (failures-- > 0) throw new KvFleetError('ENGINE_UNREACHABLE', 'down')
      return Uint32Array.of(1)
    })
    for (const id of ['a', 'b', 'c']) await addWorker(id)
    const source = engineTokens()
    expect(await source.tokens(text('x'), { fleet })).toEqual(Uint32Array.of(1))
    failures = 5
    await expect(source.tokens(text('y'), { fleet })).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' })
    expect(asked).toEqual(['a', 'b', 'b', 'c'])
  })

  it('gives up at the time limit and when the caller aborts', async () => {
    const { fleet, addWorker, clock } = setup(
      ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('cut')), { once: true })),
    )
    await addWorker('a')
    const source = engineTokens({ timeoutMs: 200 })
    const late = expect(source.tokens(text('x'), { fleet })).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE', retryable: true })
    await clock.advance(200)
    await late
    const controller = new AbortController()
    const aborted = expect(source.tokens(text('x'), { fleet, signal: controller.signal })).rejects.toThrow('enough')
    controller.abort(new Error('enough'))
    await aborted
    expect(clock.pending).toBe(0)
  })

  it('makes no more calls at once than it may, and drops those whose caller left while they waited', async () => {
    const pending: ((tokens: Uint32Array) => void)[] = []
    const { fleet, addWorker, asked } = setup(() => new Promise(resolve => pending.push(resolve)))
    await addWorker('a')
    const source = engineTokens({ maxConcurrentCalls: 2 })
    const left = new AbortController()
    const answers = ['1', '2', '3'].map(prompt => source.tokens(text(prompt), { fleet }))
    const dropped = source.tokens(text('4'), { fleet, signal: left.signal })
    await expect.poll(() => asked.length).toBe(2)
    left.abort(new Error('gone'))
    await expect(dropped).rejects.toThrow('gone')
    pending[0]?.(Uint32Array.of(1))
    await expect.poll(() => asked.length).toBe(3)
    for (const resolve of pending) resolve(Uint32Array.of(1))
    expect(await Promise.all(answers)).toHaveLength(3)
    expect(asked).toHaveLength(3)
  })

  it('refuses unknown options', () => {
    expect(() => engineTokens({ timeoutMS: 5 } as never)).toThrow('did you mean "timeoutMs"?')
  })
})
