import { abortable } from '../abortable.js'
import { deadline, sleep } from '../clock.js'
import { fleetDefaults, probeDefaults } from '../defaults.js'
import type { EngineAdapter, EngineConnection, EngineDescription } from '../engine.js'
import { errorMessage, KvFleetError } from '../errors.js'
import type { Worker } from '../worker.js'
import type { FleetSettings } from './fleet-options.js'
import { runHook } from './hooks.js'

/** What joining does to the worker that joins. */
export interface Joining {
  readonly worker: Worker
  readonly settings: FleetSettings
  /** Aborts when the join has to end, with the error that it then rejects with. */
  readonly signal: AbortSignal
  /** Ends the join, as every other reason does: through the signal. */
  giveUp(error: KvFleetError): void
  connection(signal: AbortSignal): EngineConnection
  described(description: EngineDescription): void
  openKvEvents(): Promise<void>
  readLoad(connection: EngineConnection): Promise<void>
  problem(error: unknown): void
}

/**
 * From the first probe to the beforeReady hook. Rejects with the signal's reason or WORKER_HOOK_FAILED; what the
 * engine or the event source cannot tell is a problem, not a failure.
 */
export async function join(joining: Joining): Promise<void> {
  const { worker, settings, signal } = joining
  const { clock, joinTimeoutMs } = settings
  let step = 'health'
  let lastFailure: unknown
  const timer = clock.schedule(joinTimeoutMs, () => {
    const last = lastFailure === undefined ? '' : `: ${errorMessage(lastFailure)}`
    const message = `worker "${worker.id}" did not become ready within ${joinTimeoutMs} ms, at ${step}${last}`
    const details = { workerId: worker.id, joinTimeoutMs, step }
    joining.giveUp(new KvFleetError('WORKER_JOIN_TIMEOUT', message, { details, cause: lastFailure, retryable: true }))
  })
  const bounded = async <T>(call: (connection: EngineConnection) => Promise<T>): Promise<T> => {
    const timeoutMs = settings.probes?.timeoutMs ?? probeDefaults.timeoutMs
    const late = () =>
      new KvFleetError('ENGINE_UNREACHABLE', `worker "${worker.id}": no answer within ${timeoutMs} ms`, { retryable: true })
    const guard = deadline(clock, timeoutMs, late, signal)
    try {
      const connection = joining.connection(guard.signal)
      return await abortable((async () => call(connection))(), guard.signal)
    } finally {
      guard.release()
    }
  }
  /** A step that may fail without failing the join. */
  const optional = async (name: string, work: () => Promise<void>): Promise<void> => {
    step = name
    try {
      await work()
    } catch (error) {
      signal.throwIfAborted()
      joining.problem(error)
    }
    signal.throwIfAborted()
  }

  try {
    await untilHealthy(worker.engine, bounded, joining, error => {
      lastFailure = error
    })
    lastFailure = undefined
    await optional('describe', async () => {
      const description = await bounded(async connection => worker.engine.describe?.(connection))
      if (description !== undefined) joining.described(description)
    })
    await optional('kv-events', () => joining.openKvEvents())
    await optional('load', () => bounded(connection => joining.readLoad(connection)))
    step = 'beforeReady'
    await runHook(settings.hooks, 'beforeReady', worker, { clock, timeoutMs: settings.hookTimeoutMs, parent: signal })
  } finally {
    timer.cancel()
  }
}

async function untilHealthy(
  engine: EngineAdapter,
  bounded: (call: (connection: EngineConnection) => Promise<void>) => Promise<void>,
  { settings, signal }: Joining,
  failed: (error: unknown) => void,
): Promise<void> {
  for (;;) {
    try {
      return await bounded(connection => engine.health(connection))
    } catch (error) {
      failed(error)
    }
    await sleep(settings.clock, fleetDefaults.joinPollMs, signal)
  }
}
