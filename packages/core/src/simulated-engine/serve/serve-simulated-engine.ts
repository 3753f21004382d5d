import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../../clock.js'
import { errorMessage, KvFleetError } from '../../errors.js'
import type { SimulatedEngine } from '../model/engine.js'
import { createSimulatedEngine } from '../model/simulated-engine.js'
import { type KvPublisher, openKvPublisher } from './kv-publisher.js'
import { EngineMetrics } from './metrics.js'
import { parseServeOptions, type ServeSimulatedEngineOptions } from './options.js'
import { createRoutes } from './routes.js'
import { createScaledClock } from './scaled-clock.js'
import { createSimulatedTokenizer } from './tokenizer.js'
import { VllmWireEvents } from './vllm-wire-events.js'

export interface SimulatedEngineServer extends AsyncDisposable {
  /** Base URL without a trailing slash. */
  readonly url: string
  readonly port: number
  /** Where KV events are published and replayed; undefined when they are switched off. */
  readonly kvEventsPort: number | undefined
  readonly replayPort: number | undefined
  readonly engine: SimulatedEngine
  /** Breaks off what is in flight and frees every socket. */
  close(): Promise<void>
}

/**
 * The simulated engine behind real sockets, as vLLM's server: the OpenAI routes, metrics, tokenization and KV events
 * over ZMQ. A stand-in: it answers with ids, not with sense. Rejects with LISTEN_FAILED when a port is taken.
 */
export async function serveSimulatedEngine(options: ServeSimulatedEngineOptions): Promise<SimulatedEngineServer> {
  const resolved = parseServeOptions(options)
  const { host, model, timeScale, promptTokensDetails, kvEvents } = resolved
  const clock = createScaledClock(systemClock, timeScale)
  const engine = createSimulatedEngine(resolved.engine, { clock })
  const { blockSize, kvBlocks, vocabularySize } = engine.options
  const publisher = kvEvents === undefined ? undefined : await openKvPublisher({ host, ...kvEvents })
  if (publisher !== undefined && kvEvents !== undefined)
    publishEvents(engine, publisher, new VllmWireEvents(blockSize, kvEvents), clock.toBase)
  const server = createServer(
    createRoutes({
      options: resolved,
      engine,
      publisher,
      tokenizer: createSimulatedTokenizer(vocabularySize),
      metrics: new EngineMetrics({ model, blockSize, kvBlocks }),
      timeScale,
      promptTokensDetails,
      now: systemClock.now,
    }),
  )
  try {
    await listen(server, host, resolved.port)
  } catch (error) {
    await publisher?.close()
    throw error
  }
  const { port } = server.address() as AddressInfo
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= (async () => {
      const stopped = new Promise(resolve => server.close(resolve))
      engine.close()
      server.closeAllConnections()
      await Promise.all([stopped, publisher?.close()])
    })()
    return closing
  }
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    kvEventsPort: publisher?.port,
    replayPort: publisher?.replayPort,
    engine,
    close,
    [Symbol.asyncDispose]: close,
  }
}

function publishEvents(engine: SimulatedEngine, publisher: KvPublisher, wire: VllmWireEvents, toWall: (time: number) => number): void {
  engine.onKvEvents((events, at) => publisher.publish(wire.encode(events, toWall(at) / 1000)))
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', error => {
      const details = { host, port }
      reject(
        new KvFleetError('LISTEN_FAILED', `simulated engine: cannot listen on ${host}:${port}: ${errorMessage(error)}`, {
          details,
          cause: error,
        }),
      )
    })
    server.listen({ host, port }, resolve)
  })
}
