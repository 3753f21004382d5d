import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { standInProfile } from '../../engine-profile.js'
import { createVirtualClock } from '../../virtual-time.js'
import { createSimulatedEngine } from './simulated-engine.js'

function answer(prompt: Uint32Array, maxTokens: number, seed = 7): number[] {
  const clock = createVirtualClock()
  const engine = createSimulatedEngine({ profile: standInProfile, blockSize: 16, kvBlocks: 100, seed }, { clock })
  const tokens: number[] = []
  engine.submit({ id: 'a', prompt, maxTokens }, { wantsTokens: true, onTokens: run => tokens.push(...(run.tokens ?? [])), onEnd() {} })
  clock.runToIdleSync()
  return tokens
}

const prompts = fc.uint32Array({ minLength: 1, maxLength: 60 })

describe('output tokens', () => {
  it('continue alike on another engine with the same seed', () => {
    fc.assert(
      fc.property(prompts, fc.integer({ min: 2, max: 40 }), fc.nat(), (prompt, maxTokens, cut) => {
        const whole = answer(prompt, maxTokens)
        const done = 1 + (cut % (maxTokens - 1))
        const rest = answer(Uint32Array.of(...prompt, ...whole.slice(0, done)), maxTokens - done)
        expect([...whole.slice(0, done), ...rest]).toEqual(whole)
      }),
    )
  })

  it('differ when an id before them was lost, doubled or changed', () => {
    fc.assert(
      fc.property(prompts, fc.nat(), (prompt, pick) => {
        const whole = answer(prompt, 12)
        const context = [...prompt, ...whole.slice(0, 4)]
        const at = pick % context.length
        const rest = whole.slice(4).join()
        expect(answer(Uint32Array.from(context.toSpliced(at, 0, context[at] as number)), 8).join()).not.toBe(rest)
        expect(answer(Uint32Array.from(context.with(at, (context[at] as number) ^ 1)), 8).join()).not.toBe(rest)
        if (context.length > 1) expect(answer(Uint32Array.from(context.toSpliced(at, 1)), 8).join()).not.toBe(rest)
      }),
    )
  })

  it('depend on the seed and stay below the vocabulary size', () => {
    const prompt = Uint32Array.of(1, 2, 3)
    expect(answer(prompt, 20, 1)).not.toEqual(answer(prompt, 20, 2))
    expect(answer(prompt, 20, 1)).not.toEqual(answer(prompt, 20, 1 + 2 ** 32))
    expect(Math.max(...answer(prompt, 200))).toBeLessThan(32_000)
  })
})
