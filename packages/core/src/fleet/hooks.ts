import { abortable } from '../abortable.js'
import type { Clock } from '../clock.js'
import { errorMessage, KvFleetError } from '../errors.js'
import type { Worker } from '../worker.js'
import type { FleetHooks } from './fleet.js'

export interface HookLimits {
  readonly clock: Clock
  readonly timeoutMs: number
  /** Ends the hook early; the call then rejects with its reason. */
  readonly parent: AbortSignal
}

/** Rejects with WORKER_HOOK_FAILED when the hook throws or passes its deadline, whether or not it honours its signal. */
export async function runHook(
  hooks: FleetHooks,
  name: keyof FleetHooks,
  worker: Worker,
  { clock, timeoutMs, parent }: HookLimits,
): Promise<void> {
  const hook = hooks[name]
  if (hook === undefined) return
  const failed = (what: string, cause?: unknown) =>
    new KvFleetError('WORKER_HOOK_FAILED', `worker "${worker.id}": ${name} ${what}`, {
      details: { workerId: worker.id, hook: name },
      cause,
    })
  const controller = new AbortController()
  const onParentAbort = () => controller.abort(parent.reason)
  if (parent.aborted) onParentAbort()
  else parent.addEventListener('abort', onParentAbort, { once: true })
  const timer = clock.schedule(timeoutMs, () => controller.abort(failed(`did not end within ${timeoutMs} ms`)))
  const { signal } = controller
  try {
    await abortable((async () => hook(worker, { signal }))(), signal)
  } catch (error) {
    throw signal.aborted ? signal.reason : failed(`failed: ${errorMessage(error)}`, error)
  } finally {
    timer.cancel()
    parent.removeEventListener('abort', onParentAbort)
  }
}
