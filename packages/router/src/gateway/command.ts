import { createRequire } from 'node:module'
import { createFleet, errorMessage, formatReason, KvFleetError } from '@kvfleet/core'
import { zeromqKvEvents } from '@kvfleet/core/kv-events/zeromq'
import { createRouter } from '../create-router.js'
import { engineTokens } from '../prompt/engine-tokens.js'
import { engineByName } from './admin/worker-body.js'
import { COMMAND, helpText, parseCommand, policyByName, type ServeOrder } from './command-options.js'
import { createGateway } from './create-gateway.js'

/** What the command needs of its process. */
export interface CommandEnvironment {
  print(line: string): void
  complain(line: string): void
  /** Aborts when the process is asked to stop. */
  readonly signal: AbortSignal
}

/** Exit code of a wrong command line, or of an address that cannot be had. */
const WRONG_USE = 2

/** Runs the command to its end and returns the exit code. Never throws. */
export async function runCommand(argv: readonly string[], environment: CommandEnvironment): Promise<number> {
  try {
    const order = parseCommand(argv)
    if (order.kind === 'help') environment.print(helpText())
    else if (order.kind === 'version') environment.print(version())
    else await serve(order, environment)
    return 0
  } catch (error) {
    const message = errorMessage(error)
    environment.complain(message.startsWith(COMMAND) ? message : `${COMMAND}: ${message}`)
    return KvFleetError.is(error, 'OPTION_INVALID') || KvFleetError.is(error, 'LISTEN_FAILED') ? WRONG_USE : 1
  }
}

async function serve(order: ServeOrder, { print, complain, signal }: CommandEnvironment): Promise<void> {
  const { host, port, adminPort, graceMs } = order
  await using fleet = createFleet({ kvEvents: zeromqKvEvents() })
  fleet.on('problem', ({ worker, error }) => complain(`${worker === undefined ? '' : `worker ${worker.id}: `}${error.message}`))
  fleet.on('health', ({ worker, from, to, cause }) => from !== 'unknown' && print(`worker ${worker.id} is ${to}, says its ${cause}`))
  fleet.on('phase', ({ worker, from, to }) => {
    if (to === 'active') print(`worker ${worker.id} joined: ${worker.url}, models ${worker.models.join(', ') || 'any'}`)
    else if (from === 'active' || from === 'draining') print(`worker ${worker.id} is ${to}; requests in flight: ${worker.leases}`)
  })
  const router = createRouter({ fleet, policy: policyByName(order.policy), tokens: engineTokens() })
  await using gateway = await createGateway({ router, admin: { port: adminPort } }).listen({ host, port })
  print(`listening on ${gateway.url}, admin API on ${gateway.adminUrl}, policy ${router.policy.name}`)
  for (const reason of router.degradations) print(`the policy does without: ${formatReason(reason)}`)
  for (const worker of order.workers) {
    fleet.add({ ...worker, engine: engineByName(COMMAND, order.engine) }).catch(error => {
      if (!KvFleetError.is(error, 'CLOSED')) complain(`worker ${worker.id} failed to join: ${errorMessage(error)}`)
    })
  }

  if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
  const inFlight = fleet.list().reduce((sum, { leases }) => sum + leases, 0)
  print(`stopping; requests in flight: ${inFlight}`)
  await gateway.close(graceMs === undefined ? {} : { graceMs })
  await router.close()
}

function version(): string {
  return (createRequire(import.meta.url)('../../package.json') as { version: string }).version
}
