import { progressBar, type ReplayResult, replay, type Trace } from '@kvfleet/bench'
import { sleep, systemClock } from '@kvfleet/core'
import { startCluster } from './cluster.js'
import type { GatewayOrder } from './gateway-process.js'
import type { StartOptions } from './options.js'
import { addOneDrainOne, type RollingChange } from './rolling-change.js'

export interface SocketRun extends ReplayResult {
  readonly policy: GatewayOrder['policy']
  readonly change: RollingChange | undefined
}

/** Replays the trace over real sockets under one policy; on wish adds and drains a worker a third of the way in. */
export async function socketRun(
  policy: GatewayOrder['policy'],
  trace: Trace,
  options: StartOptions,
  { rolling, signal }: { readonly rolling: boolean; readonly signal: AbortSignal },
): Promise<SocketRun> {
  const { timeScale } = options
  const cluster = await startCluster(policy, options, signal)
  const ended = new AbortController()
  try {
    const bar = progressBar({ stream: process.stderr, total: trace.requests.length, clock: systemClock, label: policy })
    const startedAt = systemClock.now()
    const lastArrivalMs = trace.requests.at(-1)?.arrivalMs ?? 0
    const stop = AbortSignal.any([signal, ended.signal])
    const change = rolling
      ? sleep(systemClock, lastArrivalMs / 3 / timeScale, stop).then(() =>
          addOneDrainOne(cluster, () => (systemClock.now() - startedAt) * timeScale, stop),
        )
      : undefined
    // Its failure is reported below, once the replay has ended.
    change?.catch(() => {})
    const result = await replay(
      trace,
      { url: cluster.url, model: 'simulated' },
      { timeScale, signal, onProgress: ({ completed, failed }) => bar.update({ done: completed + failed, failed }) },
    )
    bar.end()
    signal.throwIfAborted()
    return { ...result, policy, change: await change }
  } finally {
    ended.abort()
    await cluster.close()
  }
}
