import { type CommandLineOption, commandLineNumber, KvFleetError, nearestName, parseCommandLine } from '@kvfleet/core'
import { kvAware } from '../policies/kv-aware.js'
import { leastLoaded } from '../policies/least-loaded.js'
import { powerOfTwo } from '../policies/power-of-two.js'
import { random } from '../policies/random.js'
import { roundRobin } from '../policies/round-robin.js'
import type { Policy } from '../policy.js'
import { engineAdapters } from './admin/worker-body.js'
import { gatewayDefaults } from './defaults.js'

export const COMMAND = 'kvfleet-gateway'
const DEFAULT_PORT = 8080

const policies: Readonly<Record<string, () => Policy>> = {
  'kv-aware': kvAware,
  'round-robin': roundRobin,
  'least-loaded': leastLoaded,
  'power-of-two': powerOfTwo,
  random,
}

export interface ServeOrder {
  readonly kind: 'serve'
  readonly host: string
  readonly port: number
  readonly adminPort: number
  readonly policy: string
  readonly engine: string
  readonly workers: readonly { readonly id: string; readonly url: string }[]
  readonly graceMs: number | undefined
}

export type CommandOrder = ServeOrder | { readonly kind: 'help' } | { readonly kind: 'version' }

interface DescribedOption extends CommandLineOption {
  readonly value?: string
  readonly meaning: string
}

const options: Readonly<Record<string, DescribedOption>> = {
  worker: {
    type: 'string',
    multiple: true,
    value: '[ID=]URL',
    meaning: 'an engine to route to, as often as there are engines; the id is host:port unless given',
  },
  engine: { type: 'string', value: 'NAME', meaning: `what the engines are: ${Object.keys(engineAdapters).join(', ')} (default: vllm)` },
  policy: { type: 'string', value: 'NAME', meaning: `${Object.keys(policies).join(', ')} (default: kv-aware)` },
  host: { type: 'string', value: 'ADDRESS', meaning: `address to listen on (default: ${gatewayDefaults.host})` },
  port: { type: 'string', value: 'PORT', meaning: `port to listen on; 0 takes a free one (default: ${DEFAULT_PORT})` },
  'admin-port': {
    type: 'string',
    value: 'PORT',
    meaning: `port of the admin API, always on ${gatewayDefaults.host} (default: the port after --port)`,
  },
  'grace-ms': {
    type: 'string',
    value: 'MS',
    meaning: 'at a signal, how long requests in flight may take to finish (default: as long as they need)',
  },
  help: { type: 'boolean', short: 'h', meaning: 'print this' },
  version: { type: 'boolean', meaning: 'print the version' },
}

/** Throws OPTION_INVALID naming the option, its value and what was expected. */
export function parseCommand(argv: readonly string[]): CommandOrder {
  const values = parseCommandLine(COMMAND, options, argv)
  if (values['help'] === true) return { kind: 'help' }
  if (values['version'] === true) return { kind: 'version' }
  const text = (name: string, byDefault: string) => String(values[name] ?? byDefault)
  const port = portNumber('port', text('port', String(DEFAULT_PORT)))
  const grace = values['grace-ms']
  return {
    kind: 'serve',
    host: text('host', gatewayDefaults.host),
    port,
    adminPort: portNumber('admin-port', text('admin-port', String(port === 0 ? 0 : port + 1))),
    policy: oneOf('policy', text('policy', 'kv-aware'), policies),
    engine: oneOf('engine', text('engine', 'vllm'), engineAdapters),
    workers: workersOf((values['worker'] ?? []) as readonly string[]),
    graceMs: grace === undefined ? undefined : commandLineNumber(COMMAND, 'grace-ms', String(grace), { min: 0 }),
  }
}

export function policyByName(name: string): Policy {
  return (policies[name] ?? kvAware)()
}

export function helpText(): string {
  const left = Object.entries(options).map(([name, { value }]) => `--${name}${value === undefined ? '' : ` ${value}`}`)
  const width = Math.max(...left.map(text => text.length))
  const lines = Object.values(options).map(({ meaning }, index) => `  ${(left[index] as string).padEnd(width)}  ${meaning}`)
  return `Usage: ${COMMAND} --worker http://127.0.0.1:8001 --worker http://127.0.0.1:8002

An OpenAI-compatible HTTP server that routes to inference engines, with an admin API to add and drain them.

${lines.join('\n')}`
}

function portNumber(name: string, text: string): number {
  return commandLineNumber(COMMAND, name, text, { min: 0, max: 65_535, integer: true })
}

function oneOf(option: string, name: string, known: Readonly<Record<string, unknown>>): string {
  if (Object.hasOwn(known, name)) return name
  const names = Object.keys(known)
  const nearest = nearestName(name, names)
  throw invalid(option, `expected one of ${names.join(', ')}, got "${name}"${nearest === undefined ? '' : `, did you mean "${nearest}"?`}`)
}

function workersOf(values: readonly string[]): ServeOrder['workers'] {
  const workers = values.map(value => {
    const [, id, url = value] = /^([A-Za-z0-9._:-]+)=(.*)$/.exec(value) ?? []
    if (!/^https?:\/\//.test(url) || !URL.canParse(url))
      throw invalid('worker', `expected a URL such as http://127.0.0.1:8001, got "${value}"`)
    return { id: id ?? new URL(url).host.replace(/[[\]]/g, ''), url }
  })
  const twice = workers.find(({ id }, index) => workers.findIndex(other => other.id === id) !== index)
  if (twice === undefined) return workers
  throw invalid('worker', `expected different ids, got "${twice.id}" twice; give ids with ID=URL`)
}

function invalid(option: string, message: string): KvFleetError {
  return new KvFleetError('OPTION_INVALID', `${COMMAND}: --${option}: ${message}`, { details: { what: COMMAND, field: option } })
}
