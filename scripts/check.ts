/**
 * `npm run check [-- --fix] [-- name …]`: everything besides the tests that has to hold. Every step runs even when one
 * fails. `--fix` formats and rewrites what is generated.
 */
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

interface Step {
  readonly name: string
  /** Arguments of `node`. */
  readonly args: readonly string[]
  /** What `--fix` adds. */
  readonly fix?: readonly string[]
}

const modules = join(process.cwd(), 'node_modules')
const script = (name: string) => ['--import', 'tsx', `scripts/${name}.ts`]

const steps: readonly Step[] = [
  { name: 'style', args: [join(modules, '@biomejs/biome/bin/biome'), 'check', '--error-on-warnings'], fix: ['--write'] },
  { name: 'structure', args: script('check-structure') },
  {
    name: 'types',
    args: [join(modules, 'typescript/bin/tsc'), '-p', '.', '--incremental', '--tsBuildInfoFile', 'node_modules/.cache/kvfleet.tsbuildinfo'],
  },
  { name: 'arrows', args: [join(modules, 'dependency-cruiser/bin/dependency-cruise.mjs'), 'packages', 'examples', 'scripts'] },
  { name: 'unused', args: [join(modules, 'knip/bin/knip.js'), '--no-progress'] },
  { name: 'api', args: script('api-report'), fix: ['--write'] },
  { name: 'generated', args: script('generate-docs'), fix: ['--write'] },
  { name: 'docs', args: script('run-docs') },
]

const { values, positionals } = parseArgs({ options: { fix: { type: 'boolean', default: false } }, allowPositionals: true })
const unknown = positionals.filter(name => !steps.some(step => step.name === name))
if (unknown.length > 0) {
  console.error(`unknown step "${unknown[0]}"; there are ${steps.map(step => step.name).join(', ')}`)
  process.exit(1)
}
const chosen = steps.filter(step => positionals.length === 0 || positionals.includes(step.name))
const startedAt = performance.now()
const failed: string[] = []
// One at a time while files are rewritten: a later step reads what an earlier one writes.
const lanes = values.fix ? 1 : Math.min(2, availableParallelism())
const waiting = [...chosen]
await Promise.all(Array.from({ length: lanes }, runLane))
const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
console.log(failed.length === 0 ? `check: ${chosen.length} passed (${seconds} s)` : `check: ${failed.join(', ')} failed (${seconds} s)`)
process.exitCode = failed.length === 0 ? 0 : 1

async function runLane(): Promise<void> {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const from = performance.now()
    const { code, output } = await run([...step.args, ...(values.fix ? (step.fix ?? []) : [])])
    const lines = output.trimEnd().split('\n')
    const took = `${((performance.now() - from) / 1000).toFixed(1)} s`.padStart(7)
    if (code !== 0) failed.push(step.name)
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${step.name.padEnd(10)}${took}  ${code === 0 ? (lines.at(-1) ?? '') : ''}`)
    if (code !== 0) console.log(lines.map(line => `       ${line}`).join('\n'))
  }
}

function run(args: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    })
    let output = ''
    child.stdout.on('data', chunk => (output += chunk))
    child.stderr.on('data', chunk => (output += chunk))
    child.on('error', error => (output += error.message))
    child.on('close', code => resolve({ code: code ?? 1, output }))
  })
}
