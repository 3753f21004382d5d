/**
 * `npm run check -- docs`: compiles every `ts` block of the documentation and runs it. A page says how by comments, see
 * docs/blocks.ts. Blocks find two simulated engines on 127.0.0.1:8001 and :8002.
 */
import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import { refuseAddresses, type Unit } from './docs/blocks.js'
import { startEngines } from './docs/engines.js'
import { generatedFolder, inTermsOfPages, moduleOf, readUnits, writeModules } from './docs/pages.js'

/** More than this and the documentation would no longer be proof of anything. */
const MOST_BLOCKS_NOT_RUN = 5
/** A block takes a second or two; a shared machine may take longer. */
const BLOCK_LIMIT_MS = 60_000
const ENGINE_PORTS = [8001, 8002]
const GATEWAY_PORT = 8080

const root = process.cwd()

interface Outcome {
  readonly code: number
  readonly output: string
}

async function main(): Promise<boolean> {
  const units = readUnits(root)
  for (const unit of units) refuseAddresses(unit)
  const notRun = units.filter(unit => unit.kind === 'no-run')
  for (const unit of notRun) console.log(`not run: ${unit.page}:${unit.line}: ${unit.reason}`)
  if (notRun.length > MOST_BLOCKS_NOT_RUN)
    throw new Error(`${notRun.length} blocks are marked no-run; at most ${MOST_BLOCKS_NOT_RUN} may be`)
  writeModules(root, units)

  const compiled = await runNode([bin('typescript/bin/tsc'), '-p', generatedFolder], 'the compiler')
  if (compiled.code !== 0) {
    console.log(inTermsOfPages(root, compiled.output, units))
    return false
  }
  const toRun = units.filter(unit => unit.kind === 'run')
  const toTest = units.filter(unit => unit.kind === 'test')
  const results = [await runUnits(toRun, units), toTest.length === 0 || (await runTests(units))]
  console.log(`${units.length} blocks compiled, ${toRun.length} run, ${toTest.length} tested, ${notRun.length} not run`)
  return results.every(result => result)
}

async function runUnits(toRun: readonly Unit[], units: readonly Unit[]): Promise<boolean> {
  const needsEngines = toRun.some(unit => ENGINE_PORTS.some(port => unit.code.includes(String(port))))
  const ports = [...(needsEngines ? ENGINE_PORTS : []), ...(toRun.some(usesGatewayPort) ? [GATEWAY_PORT] : [])]
  const busy = (await Promise.all(ports.map(async port => ((await isListening(port)) ? [port] : [])))).flat()
  if (busy.length > 0) throw new Error(`127.0.0.1:${busy.join(' and :')} in use; the documentation's examples need ${ports.join(', ')}`)
  const stopEngines = needsEngines ? await startEngines(ENGINE_PORTS) : undefined
  try {
    // Two lanes for two cores; what listens on the one gateway port goes one after the other.
    const lanes = [toRun.filter(usesGatewayPort), toRun.filter(unit => !usesGatewayPort(unit))]
    const results = await Promise.all(lanes.map(lane => runLane(lane, units)))
    return results.every(result => result)
  } finally {
    await stopEngines?.()
  }
}

async function runLane(lane: readonly Unit[], units: readonly Unit[]): Promise<boolean> {
  let passed = true
  for (const unit of lane) {
    const { code, output } = await runNode([...tsx, 'scripts/docs/run-block.mjs', moduleOf(unit)], 'the block')
    if (code === 0) continue
    passed = false
    const why = code === 13 ? 'waits for something that never comes' : `failed with exit code ${code}`
    console.log(`${unit.page}:${unit.line}: the block ${why}\n${inTermsOfPages(root, output, units)}`)
  }
  return passed
}

async function runTests(units: readonly Unit[]): Promise<boolean> {
  const { code, output } = await runNode([bin('vitest/vitest.mjs'), 'run', '--mode', 'docs'], 'vitest')
  if (code !== 0) console.log(inTermsOfPages(root, output, units))
  return code === 0
}

const tsx = ['--import', 'tsx']

function bin(path: string): string {
  return join(root, 'node_modules', path)
}

function usesGatewayPort(unit: Unit): boolean {
  return unit.code.includes(String(GATEWAY_PORT))
}

/** Runs `node` to its end or to the time limit, then ends whatever it started. */
function runNode(args: readonly string[], what: string): Promise<Outcome> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, NO_COLOR: '1' },
    })
    let output = ''
    child.stdout.on('data', chunk => (output += chunk))
    child.stderr.on('data', chunk => (output += chunk))
    const timer = setTimeout(() => {
      output += `\n${what} took longer than ${BLOCK_LIMIT_MS / 1000} s\n`
      endGroup(child.pid)
    }, BLOCK_LIMIT_MS)
    child.on('exit', () => endGroup(child.pid))
    child.on('close', code => {
      clearTimeout(timer)
      resolve({ code: code ?? 1, output })
    })
  })
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // The whole group has ended.
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

try {
  process.exitCode = (await main()) ? 0 : 1
} catch (error) {
  console.log(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
