import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { demonstration } from '@kvfleet/bench'
import { KvFleetError } from '@kvfleet/core'
import { type SimulatedEngineProcess, startSimulatedEngineProcess } from '@kvfleet/core/simulated-engine/serve'
import type { GatewayAnswer, GatewayOrder } from './gateway-process.js'
import type { StartOptions } from './options.js'

export interface Cluster {
  readonly url: string
  readonly adminUrl: string
  /** One engine more, in no fleet yet. */
  readonly spare: { readonly url: string }
  close(): Promise<void>
}

/** Simulated vLLM workers in processes of their own, and the gateway in front of them. */
export async function startCluster(
  policy: GatewayOrder['policy'],
  { port, timeScale, seed }: StartOptions,
  signal: AbortSignal,
): Promise<Cluster> {
  const engines: SimulatedEngineProcess[] = []
  const { profile, blockSize, kvBlocks } = demonstration.engine
  const startEngine = async () => {
    const engine = await startSimulatedEngineProcess({ model: 'simulated', profile, blockSize, kvBlocks, seed, timeScale, signal })
    engines.push(engine)
    return engine
  }
  const gateway = fork(fileURLToPath(new URL('./gateway-process.ts', import.meta.url)))
  const close = async () => {
    const exited = gateway.exitCode === null && gateway.signalCode === null ? once(gateway, 'exit') : undefined
    if (gateway.connected) gateway.disconnect()
    await Promise.all([exited, ...engines.map(engine => engine.close())])
  }
  try {
    const spare = await startEngine()
    const workers = await Promise.all(
      Array.from({ length: demonstration.workers }, async (_, index) => ({ id: `worker-${index + 1}`, url: (await startEngine()).url })),
    )
    const order: GatewayOrder = { policy, port, workers }
    gateway.send(order)
    const answer = await Promise.race([once(gateway, 'message', { signal }), once(gateway, 'exit', { signal })])
    const [message] = answer as [GatewayAnswer | number | null]
    if (typeof message !== 'object' || message === null) throw new KvFleetError('INTERNAL', 'the gateway process ended before it was ready')
    if ('error' in message) throw new KvFleetError('LISTEN_FAILED', message.error)
    return { ...message, spare, close }
  } catch (error) {
    await close()
    throw error
  }
}
