import { toKvFleetError } from '../../errors.js'
import type { FromEngineProcess, ToEngineProcess } from './process-messages.js'
import { type SimulatedEngineServer, serveSimulatedEngine } from './serve-simulated-engine.js'

/** Entry of the child process that `startSimulatedEngineProcess` forks; of no use by itself. */

let server: SimulatedEngineServer | undefined

const tell = (message: FromEngineProcess) => process.send?.(message)

// An engine never outlives whoever started it.
process.on('disconnect', () => process.exit(0))
// Ctrl-C reaches the whole group; the parent decides when its engines go.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => close())

process.on('message', (message: ToEngineProcess) => {
  if (message.type === 'close') close()
  else serve(message)
})

function serve({ options }: Extract<ToEngineProcess, { type: 'serve' }>): void {
  serveSimulatedEngine(options).then(
    started => {
      server = started
      const { url, port, kvEventsPort, replayPort } = started
      tell({ type: 'ready', url, port, kvEventsPort, replayPort })
    },
    cause => {
      const { code, message, details } = toKvFleetError(cause, 'INTERNAL', 'simulated engine process')
      tell({ type: 'failed', code, message, details })
    },
  )
}

function close(): void {
  Promise.resolve(server?.close()).finally(() => process.exit(0))
}
