import { type ParseArgsConfig, parseArgs } from 'node:util'
import { errorMessage, KvFleetError } from './errors.js'
import { nearestName } from './options.js'

export interface CommandLineOption {
  readonly type: 'string' | 'boolean'
  readonly multiple?: boolean
  readonly short?: string
}

export type CommandLineValues = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

/**
 * Splits `--name value`, `--name=value` and `--flag` by the table of options. Throws OPTION_INVALID naming the argument;
 * for an unknown option, the nearest known one. Values stay text: a schema turns them into numbers.
 */
export function parseCommandLine(
  command: string,
  options: Readonly<Record<string, CommandLineOption>>,
  argv: readonly string[],
): CommandLineValues {
  const unknown = argv.find(argument => argument.startsWith('--') && !(nameOf(argument) in options))
  if (unknown !== undefined && unknown !== '--') {
    const name = nameOf(unknown)
    const nearest = nearestName(name, Object.keys(options))
    throw invalid(command, name, `unknown option --${name}${nearest === undefined ? '' : `, did you mean --${nearest}?`}`)
  }
  try {
    const config: ParseArgsConfig = {
      args: [...argv],
      options: options as NonNullable<ParseArgsConfig['options']>,
      allowPositionals: false,
    }
    return parseArgs(config).values
  } catch (error) {
    throw invalid(command, undefined, errorMessage(error).split(/\.\s/)[0] as string)
  }
}

/** A finite number given as text on a command line; throws OPTION_INVALID naming the option, the text and the range. */
export function commandLineNumber(
  command: string,
  name: string,
  text: string,
  range: { min?: number; max?: number; integer?: boolean } = {},
): number {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, integer = false } = range
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (Number.isFinite(value) && value >= min && value <= max && (!integer || Number.isInteger(value))) return value
  const bounds = [Number.isFinite(min) ? `at least ${min}` : '', Number.isFinite(max) ? `at most ${max}` : ''].filter(Boolean).join(' and ')
  throw invalid(
    command,
    name,
    `--${name}: expected a ${integer ? 'whole ' : ''}number${bounds === '' ? '' : ` of ${bounds}`}, got "${text}"`,
  )
}

function nameOf(argument: string): string {
  return argument.slice(2).split('=')[0] as string
}

function invalid(command: string, field: string | undefined, message: string): KvFleetError {
  return new KvFleetError('OPTION_INVALID', `${command}: ${message}`, { details: { what: command, field } })
}
