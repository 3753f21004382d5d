import type { SimulatedKvEvent } from './engine.js'
import type { SchedulerListener } from './scheduler.js'
import type { Sequence } from './sequence.js'

export type KvEventListener = (events: readonly SimulatedKvEvent[], at: number) => void

/** Gathers what happens to cached blocks until the step ends. Costs nothing while nobody listens. */
export class KvEventFeed implements SchedulerListener {
  readonly #listeners = new Set<KvEventListener>()
  #pending: SimulatedKvEvent[] = []

  get hasPending(): boolean {
    return this.#pending.length > 0
  }

  subscribe(listener: KvEventListener): () => void {
    // One listener may subscribe twice.
    const own: KvEventListener = (events, at) => listener(events, at)
    this.#listeners.add(own)
    return () => {
      this.#listeners.delete(own)
      if (this.#listeners.size === 0) this.#pending = []
    }
  }

  onStored(sequence: Sequence, from: number, to: number, duplicates: Uint8Array | undefined): void {
    if (this.#listeners.size === 0) return
    this.#pending.push({
      type: 'stored',
      hashes: sequence.blockHashes(from, to),
      parent: from === 0 ? undefined : sequence.blockHashes(from - 1, from),
      tokens: sequence.blockTokens(from, to),
      cacheSalt: sequence.cacheSalt,
      ...(duplicates && { duplicates }),
    })
  }

  onForgotten(high: number, low: number, copiesLeft: boolean): void {
    if (this.#listeners.size === 0) return
    const hashes = Uint32Array.of(high, low)
    this.#pending.push(copiesLeft ? { type: 'removed', hashes, copiesLeft } : { type: 'removed', hashes })
  }

  onCleared(): void {
    if (this.#listeners.size > 0) this.#pending.push({ type: 'cleared' })
  }

  publish(at: number): void {
    if (this.#pending.length === 0) return
    const events = this.#pending
    this.#pending = []
    for (const listener of this.#listeners) listener(events, at)
  }
}
