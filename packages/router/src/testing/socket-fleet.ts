import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  createFleet,
  type EngineAdapter,
  type EngineProfile,
  type Fleet,
  type FleetOptions,
  systemClock,
  vllm,
  type WorkerSpec,
} from '@kvfleet/core'
import { type ServeSimulatedEngineOptions, type SimulatedEngineServer, serveSimulatedEngine } from '@kvfleet/core/simulated-engine/serve'

/** Two milliseconds a step, ten prompt tokens a millisecond: quick, yet slow enough to be caught in the act. */
export const quickProfile: EngineProfile = {
  name: 'quick',
  stepBaseMs: 2,
  prefillMsPerToken: 0.1,
  prefillMsPerTokenPerContextToken: 0,
  decodeMsPerSequence: 0,
  decodeMsPerContextToken: 0,
  maxBatchedTokens: 8192,
  standIn: true,
}

/** An engine that says nothing about itself: for servers that only answer requests. */
export const scriptedEngine: EngineAdapter = { name: 'scripted', health: async () => {} }

interface ScriptedServer {
  readonly url: string
  /** Sockets that are open now. */
  connections(): Promise<number>
  close(): Promise<void>
}

/** A real fleet on real sockets, with everything that has to be closed. */
export class SocketFleet implements AsyncDisposable {
  readonly fleet: Fleet
  readonly engines = new Map<string, SimulatedEngineServer>()
  readonly #closing: (() => Promise<unknown>)[] = []

  constructor(options: FleetOptions = {}) {
    this.fleet = createFleet({ probes: false, breaker: false, ...options })
  }

  /** Closed, in reverse order, when the fleet is. */
  defer(close: () => Promise<unknown>): void {
    this.#closing.push(close)
  }

  /** Adds a worker on a simulated engine and waits until it is active. */
  async addSimulated(
    id: string,
    engine: Partial<ServeSimulatedEngineOptions> = {},
    spec: Partial<WorkerSpec> = {},
  ): Promise<SimulatedEngineServer> {
    const server = await this.serve(engine)
    this.engines.set(id, server)
    await this.fleet.add({ id, url: server.url, engine: vllm(), ...spec })
    return server
  }

  async serve(engine: Partial<ServeSimulatedEngineOptions> = {}): Promise<SimulatedEngineServer> {
    const server = await serveSimulatedEngine({
      profile: quickProfile,
      blockSize: 16,
      kvBlocks: 8192,
      model: 'm',
      kvEvents: false,
      ...engine,
    })
    this.defer(() => server.close())
    return server
  }

  /** Adds a worker on a server that answers as `listener` does. */
  async addScripted(id: string, listener: RequestListener, spec: Partial<WorkerSpec> = {}): Promise<ScriptedServer> {
    const server = await scriptedServer(listener)
    this.defer(() => server.close())
    await this.fleet.add({ id, url: server.url, engine: scriptedEngine, ...spec })
    return server
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.reverse()) await close()
    await this.fleet.close()
  }
}

async function scriptedServer(listener: RequestListener): Promise<ScriptedServer> {
  const server = createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count)))),
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Resolves as soon as `condition` holds, looking at every turn of the event loop. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, limitMs = 5_000): Promise<void> {
  const startedAt = systemClock.now()
  while (!(await condition())) {
    if (systemClock.now() - startedAt > limitMs) throw new Error(`waited ${limitMs} ms for ${what}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** A port of 127.0.0.1 on which nobody listens. */
export async function freePort(): Promise<number> {
  const server = await scriptedServer(() => {})
  await server.close()
  return Number(new URL(server.url).port)
}
