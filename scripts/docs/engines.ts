import { standInProfile } from '@kvfleet/core'
import { startSimulatedEngineProcess } from '@kvfleet/core/simulated-engine/serve'

/** vLLM's block size, and room for 65,536 tokens. */
const engine = { profile: standInProfile, blockSize: 16, kvBlocks: 4096 }

/** Starts a simulated engine on each port, as processes of their own; the result stops them. */
export async function startEngines(ports: readonly number[]): Promise<() => Promise<void>> {
  const started = await Promise.allSettled(ports.map(port => startSimulatedEngineProcess({ port, ...engine })))
  const engines = started.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
  const stop = async () => {
    await Promise.all(engines.map(engine => engine.close()))
  }
  const failure = started.find(result => result.status === 'rejected')
  if (failure === undefined) return stop
  await stop()
  throw failure.reason
}
