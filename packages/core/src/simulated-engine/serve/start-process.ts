import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { systemClock } from '../../clock.js'
import { KvFleetError } from '../../errors.js'
import { simulatedServerDefaults } from '../defaults.js'
import { parseServeOptions, type ServeSimulatedEngineOptions } from './options.js'
import type { FromEngineProcess, ToEngineProcess } from './process-messages.js'

export interface StartSimulatedEngineProcessOptions extends ServeSimulatedEngineOptions {
  /** Gives up starting, and takes the process down with it. */
  readonly signal?: AbortSignal
}

export interface SimulatedEngineProcess extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly kvEventsPort: number | undefined
  readonly replayPort: number | undefined
  /** Resolves when the process has ended; what is in flight is broken off. */
  close(): Promise<void>
  /** Sends the signal, as the operating system would; does not wait. Default: SIGKILL. */
  kill(signal?: NodeJS.Signals): void
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<void>
}

const ENTRY = '@kvfleet/core/simulated-engine/process'

/**
 * `serveSimulatedEngine` in a process of its own, which ends with this one. Rejects with LISTEN_FAILED when a port is
 * taken, OPTION_INVALID when an option is wrong.
 */
export async function startSimulatedEngineProcess({
  signal,
  ...options
}: StartSimulatedEngineProcessOptions): Promise<SimulatedEngineProcess> {
  parseServeOptions(options)
  signal?.throwIfAborted()
  const child = forkEntry()
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const onAbort = () => child.kill('SIGKILL')
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    const answer = await firstAnswer(child, { type: 'serve', options })
    if (answer.type === 'failed') throw new KvFleetError(answer.code, answer.message, { details: answer.details })
    const { type: _, ...ready } = answer
    const close = () => closeProcess(child, exited)
    return { ...ready, pid: child.pid as number, exited, close, kill: (name = 'SIGKILL') => child.kill(name), [Symbol.asyncDispose]: close }
  } catch (error) {
    child.kill('SIGKILL')
    await exited
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

function forkEntry(): ChildProcess {
  const require = createRequire(import.meta.url)
  const entry = require.resolve(ENTRY)
  // In the source tree the entry is TypeScript, which needs a loader.
  const execArgv = entry.endsWith('.ts') ? ['--import', pathToFileURL(require.resolve('tsx')).href] : []
  return fork(entry, [], { execArgv, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
}

async function firstAnswer(child: ChildProcess, order: ToEngineProcess): Promise<FromEngineProcess> {
  const settled = new AbortController()
  const gone = once(child, 'exit', { signal: settled.signal }).then(([code, name]) => {
    throw new KvFleetError('INTERNAL', `simulated engine process: ended with ${name ?? `code ${code}`} before it was ready`)
  })
  const failed = once(child, 'error', { signal: settled.signal }).then(([error]) => {
    throw error
  })
  try {
    child.send(order)
    const [answer] = await Promise.race([once(child, 'message', { signal: settled.signal }), gone, failed])
    return answer as FromEngineProcess
  } finally {
    gone.catch(() => {})
    failed.catch(() => {})
    settled.abort()
  }
}

async function closeProcess(child: ChildProcess, exited: Promise<void>): Promise<void> {
  const order: ToEngineProcess = { type: 'close' }
  if (child.connected) child.send(order, () => {})
  const overdue = systemClock.schedule(simulatedServerDefaults.closeDeadlineMs, () => child.kill('SIGKILL'), { background: true })
  await exited
  overdue.cancel()
}
