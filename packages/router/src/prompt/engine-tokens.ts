import { createHash } from 'node:crypto'
import { deadline, type Fleet, KvFleetError, type PromptInput, parseOptions, type Worker } from '@kvfleet/core'
import { LRUCache } from 'lru-cache'
import PQueue from 'p-queue'
import * as v from 'valibot'
import { routerDefaults } from '../defaults.js'
import type { TokenSource } from '../router.js'

export interface EngineTokensOptions {
  /** How long a request may wait for its ids, over all attempts. Default: 1000. */
  readonly timeoutMs?: number
  /** Memory for the ids of recent prompts of one fleet; 0 remembers none. Default: 64 MiB. */
  readonly maxCacheBytes?: number
  /** Calls to engines at once; further prompts wait, within their timeout. Default: 32. */
  readonly maxConcurrentCalls?: number
}

/** A worker that fails is worth one more try elsewhere; more would wait longer than a prefix saves. */
const MAX_ATTEMPTS = 2

/**
 * Asks the fleet's own engines: always the right vocabulary and chat template, at the price of one call per new prompt.
 * Calls go round the workers that can tokenize. Ids of recent prompts are kept by the SHA-256 of the prompt; the text is
 * not kept. A source may serve several fleets: each has a cache of its own, of up to `maxCacheBytes`, as long as it lives. Gives undefined when no worker can; rejects with ENGINE_UNREACHABLE, ENGINE_RESPONSE or ABORTED.
 */
export function engineTokens(options: EngineTokensOptions = {}): TokenSource {
  const { timeoutMs, maxCacheBytes, maxConcurrentCalls } = parseOptions('engineTokens', schema, options)
  // The same prompt and model may have other ids in another fleet.
  const caches = new WeakMap<Fleet, LRUCache<string, Uint32Array>>()
  const cacheOf = (fleet: Fleet): LRUCache<string, Uint32Array> | undefined => {
    if (maxCacheBytes === 0) return undefined
    let cache = caches.get(fleet)
    if (cache === undefined) {
      cache = new LRUCache({ maxSize: maxCacheBytes, sizeCalculation: tokens => tokens.byteLength + ENTRY_BYTES })
      caches.set(fleet, cache)
    }
    return cache
  }
  const calls = new PQueue({ concurrency: maxConcurrentCalls })
  let turn = 0

  const ask = async (
    fleet: Fleet,
    workers: readonly Worker[],
    prompt: PromptInput,
    signal: AbortSignal,
  ): Promise<Uint32Array | undefined> => {
    const first = turn++
    let failure: unknown
    for (let attempt = 0; attempt < Math.min(MAX_ATTEMPTS, workers.length); attempt++) {
      const worker = workers[(first + attempt) % workers.length] as Worker
      try {
        return await worker.engine.tokenize?.(fleet.connection(worker, signal), prompt)
      } catch (error) {
        if (signal.aborted) throw signal.reason
        failure = error
      }
    }
    throw failure
  }

  return {
    name: 'engine',
    async tokens(prompt, { fleet, signal }) {
      if (prompt.kind === 'tokens') return prompt.tokens
      const recent = cacheOf(fleet)
      const key = recent === undefined ? '' : promptKey(prompt)
      const known = recent?.get(key)
      if (known !== undefined) return known
      const { workers } = fleet.candidates(prompt.model === '' ? {} : { model: prompt.model })
      const able = workers.filter(({ engine }) => engine.tokenize !== undefined)
      if (able.length === 0) return undefined
      const timeout = () => new KvFleetError('ENGINE_UNREACHABLE', `engineTokens: no answer within ${timeoutMs} ms`, { retryable: true })
      const limit = deadline(fleet.clock, timeoutMs, timeout, signal)
      try {
        const tokens = await calls.add(() => ask(fleet, able, prompt, limit.signal), { signal: limit.signal })
        if (tokens !== undefined) recent?.set(key, tokens)
        return tokens
      } finally {
        limit.release()
      }
    },
  }
}

/** Key, list links and headers of one cache entry, roughly. */
const ENTRY_BYTES = 300

function promptKey(prompt: Exclude<PromptInput, { kind: 'tokens' }>): string {
  const content = prompt.kind === 'text' ? prompt.text : JSON.stringify(prompt.body)
  return createHash('sha256')
    .update(JSON.stringify([prompt.kind, prompt.model]))
    .update(content)
    .digest('base64')
}

const schema = v.strictObject({
  timeoutMs: v.optional(
    v.pipe(v.number(), v.finite('expected a finite number'), v.gtValue(0, 'expected a positive number')),
    routerDefaults.tokenizeTimeoutMs,
  ),
  maxCacheBytes: v.optional(
    v.pipe(v.number(), v.integer('expected an integer'), v.minValue(0, 'expected 0 or more')),
    routerDefaults.tokenCacheMaxBytes,
  ),
  maxConcurrentCalls: v.optional(
    v.pipe(v.number(), v.integer('expected an integer'), v.minValue(1, 'expected 1 or more')),
    routerDefaults.maxConcurrentTokenizeCalls,
  ),
})
