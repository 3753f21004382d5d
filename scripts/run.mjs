/**
 * The entry of `npm start`, `npm test`, its tiers, and `npm run check`. Plain Node without dependencies, because nothing is
 * installed yet when it runs first; it spawns the local tools through `node` itself, which costs far less than npx.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ensureInstalled, nodeTooOld } from './install.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tsx = ['--import', pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href]
const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run']

const ORPHAN_CHECK_MS = 250

/** Command -> the arguments of `node`. */
const commands = {
  install: [],
  start: [...tsx, 'examples/start/index.ts'],
  test: vitest,
  'test:long': [...vitest, '--mode', 'long'],
  'test:services': [...vitest, '--mode', 'services'],
  'test:engines': [...vitest, '--mode', 'engines'],
  'test:peers': [...vitest, '--mode', 'peers'],
  check: [...tsx, 'scripts/check.ts'],
}

const [command = '', ...passedOn] = process.argv.slice(2)
process.exitCode = await main()

async function main() {
  const problem = nodeTooOld(process.version)
  if (problem !== undefined) return fail(problem)
  if (!Object.hasOwn(commands, command)) return fail(`unknown command "${command}"; expected one of ${Object.keys(commands).join(', ')}`)
  const installed = ensureInstalled(root)
  return installed === 0 && command !== 'install' ? run([...commands[command], ...passedOn]) : installed
}

function run(args) {
  return new Promise(resolve => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' })
    // A terminal sends Ctrl-C to the whole process group: forwarding it too would make it count twice in the child.
    process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
    process.on('SIGTERM', () => child.kill('SIGTERM'))
    // npm hands a signal to the shell between it and this process, and the shell dies without passing it on.
    const parent = process.ppid
    setInterval(() => process.ppid === parent || child.kill('SIGTERM'), ORPHAN_CHECK_MS).unref()
    child.on('error', error => resolve(fail(error.message)))
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
  })
}

function fail(message) {
  console.error(`kvfleet: ${message}`)
  return 1
}
