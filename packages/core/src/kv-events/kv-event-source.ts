import type { Clock } from '../clock.js'
import type { EngineConnection } from '../engine.js'
import type { Worker } from '../worker.js'
import type { KvStreamItem } from './kv-event.js'

export interface KvEventSourceContext {
  readonly connection: EngineConnection
  readonly clock: Clock
  /** Called in order, each batch once; never after `close()` has resolved. Does not throw. */
  readonly onItem: (item: KvStreamItem) => void
  /** A frame that could not be read, a gap, a lost connection: counted and told, never thrown. */
  readonly onProblem: (problem: Error) => void
}

export interface KvEventSubscription {
  /** How many ranks publish; 0 when the engine has no events. */
  readonly sources: number
  close(): Promise<void>
}

/**
 * Turns what one worker publishes into an ordered, once-only stream with explicit resets. Gaps, replay and restarts
 * end here; whoever consumes the stream never asks questions.
 */
export interface KvEventSource {
  readonly name: string
  /** Resolves when events flow, or when it is clear that the worker publishes none. */
  open(worker: Worker, context: KvEventSourceContext): Promise<KvEventSubscription>
}
