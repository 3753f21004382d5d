import { commandLineNumber, parseCommandLine } from '@kvfleet/core'

export interface StartOptions {
  /** A trace file; undefined generates one. */
  readonly trace: string | undefined
  /** Requests that go over sockets. */
  readonly requests: number
  /** Requests that are simulated; undefined: the whole trace. */
  readonly simulatedRequests: number | undefined
  /** Model time runs this many times faster than the wall clock, for arrivals and engines alike. */
  readonly timeScale: number
  readonly seed: number
  readonly port: number
  readonly serve: boolean
  readonly json: string | undefined
  readonly html: string
}

export const usage = `npm start -- [options]

  --trace FILE        replay a real trace (Mooncake JSONL, Azure CSV); default: a generated conversation workload
  --requests N        requests over sockets (1000)
  --time-scale N      arrivals and engines run N times as fast as real time (12)
  --seed N            seed of the workload and of chance in the policies (1)
  --port N            the gateway's port; its admin API takes the next one (8080)
  --short             200 requests over sockets, 2000 simulated: a quick look
  --serve             keep the gateway up afterwards
  --json FILE         write everything that was printed as JSON
  --html FILE         where the report goes (.kvfleet/report.html)
  --help              this text`

const table = {
  trace: { type: 'string' },
  requests: { type: 'string' },
  'time-scale': { type: 'string' },
  seed: { type: 'string' },
  port: { type: 'string' },
  json: { type: 'string' },
  html: { type: 'string' },
  short: { type: 'boolean' },
  serve: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

/** undefined: help was asked for. Throws OPTION_INVALID naming the option. */
export function startOptions(argv: readonly string[]): StartOptions | undefined {
  const values = parseCommandLine('npm start', table, argv)
  if (values['help']) return undefined
  const text = (name: string) => values[name] as string | undefined
  const number = (name: string, fallback: number, range: { min: number; max: number; integer?: boolean }) =>
    text(name) === undefined ? fallback : commandLineNumber('npm start', name, text(name) as string, range)
  const short = values['short'] === true
  return {
    trace: text('trace'),
    requests: number('requests', short ? 200 : 1000, { min: 1, max: 1_000_000, integer: true }),
    simulatedRequests: short ? 2000 : undefined,
    timeScale: number('time-scale', 12, { min: 0.1, max: 100 }),
    seed: number('seed', 1, { min: 0, max: 2 ** 31 - 1, integer: true }),
    port: number('port', 8080, { min: 1, max: 65_534, integer: true }),
    serve: values['serve'] === true,
    json: text('json'),
    html: text('html') ?? '.kvfleet/report.html',
  }
}
