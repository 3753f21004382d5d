import { EventEmitter } from 'eventemitter3'
import type { Worker } from '../worker.js'
import type { FleetEvents } from './fleet.js'

/** Delivers the fleet's events. A listener that throws or rejects is a `problem`; one of `problem` itself is ignored. */
export class FleetEventHub {
  readonly #emitter = new EventEmitter<keyof FleetEvents>()

  on<E extends keyof FleetEvents>(event: E, listener: FleetEvents[E]): () => void {
    const call = listener as (payload: unknown) => unknown
    const failed = (error: unknown) => {
      if (event !== 'problem') this.problem(undefined, error)
    }
    const guarded = (payload: unknown) => {
      try {
        const result = call(payload)
        if (result instanceof Promise) result.catch(failed)
      } catch (error) {
        failed(error)
      }
    }
    this.#emitter.on(event, guarded)
    return () => {
      this.#emitter.off(event, guarded)
    }
  }

  /** So that hot paths build a payload only for somebody. */
  has(event: keyof FleetEvents): boolean {
    return this.#emitter.listenerCount(event) > 0
  }

  emit<E extends keyof FleetEvents>(event: E, payload: Parameters<FleetEvents[E]>[0]): void {
    this.#emitter.emit(event, payload)
  }

  problem(worker: Worker | undefined, error: unknown): void {
    this.emit('problem', { worker, error: error instanceof Error ? error : new Error(String(error)) })
  }

  clear(): void {
    this.#emitter.removeAllListeners()
  }
}
