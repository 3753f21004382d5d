import diagnostics from 'node:diagnostics_channel'
import type { Fleet } from './fleet/fleet.js'

/**
 * Every channel that kvfleet publishes on, with its message. Publishing costs one property read while nobody
 * listens: callers build the message only then.
 */
export interface TelemetryMessages {
  /** A worker changed phase, health or cordon. */
  'kvfleet:worker': {
    readonly workerId: string
    readonly field: 'phase' | 'health' | 'cordoned'
    readonly from: string
    readonly to: string
  }
  /** A lease was taken, got its first token, ended. */
  'kvfleet:lease': {
    readonly workerId: string
    readonly requestId: string
    readonly state: 'taken' | 'first-token' | 'ended'
    readonly outcome?: string
    /** Since the lease was taken. */
    readonly elapsedMs: number
  }
  /** A drain ended. */
  'kvfleet:drain': { readonly workerId: string; readonly waitedMs: number; readonly finished: number; readonly aborted: number }
  /** A batch of KV events was applied, or a stream was reset. */
  'kvfleet:kv': { readonly workerId: string; readonly kind: 'batch' | 'reset'; readonly events: number; readonly reason?: string }
  /** A router decided. Token counts, never text. */
  'kvfleet:decision': {
    /** Channels serve the whole process: which of its fleets this is about. */
    readonly fleet: Fleet
    readonly requestId: string
    readonly policy: string
    readonly workerId: string
    readonly promptTokens: number
    readonly cachedTokens: number
    readonly decideMs: number
  }
  /** A dispatched request ended. */
  'kvfleet:request': {
    readonly fleet: Fleet
    readonly requestId: string
    readonly workerId: string | undefined
    readonly status: number
    readonly outcome: 'completed' | 'failed' | 'cancelled' | 'aborted'
    readonly ttftMs: number | undefined
    readonly totalMs: number
  }
}

export type TelemetryChannel = keyof TelemetryMessages

/** Builds and publishes the message only when somebody listens. */
export function publish<C extends TelemetryChannel>(name: C, message: () => TelemetryMessages[C]): void {
  const channel = diagnostics.channel(name)
  if (channel.hasSubscribers) channel.publish(message())
}

/** Returns the function that ends the subscription. */
export function subscribe<C extends TelemetryChannel>(name: C, listener: (message: TelemetryMessages[C]) => void): () => void {
  const onMessage = (message: unknown) => listener(message as TelemetryMessages[C])
  diagnostics.subscribe(name, onMessage)
  return () => {
    diagnostics.unsubscribe(name, onMessage)
  }
}
