/**
 * `tsx scripts/try-packages.ts FOLDER`: installs the packed packages in FOLDER into an empty project, as a host would,
 * and runs the first example of the README from there against two simulated engines, on each supported Node.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { readUnits } from './docs/pages.js'

const NODE_VERSIONS = ['20', '22', '24']
/** An installation from a slow registry takes longest. */
const COMMAND_LIMIT_MS = 180_000

/** What the example and its engines need besides the packages. Versions are those that the tests use. */
const companions = { openai: 'packages/router', zeromq: 'packages/router', 'prom-client': 'packages/router', tsx: '.' }

/** Engines and example in one process, all from the installed packages. */
const program = `import { standInProfile } from '@kvfleet/core'
import { startSimulatedEngineProcess } from '@kvfleet/core/simulated-engine/serve'
const engine = { profile: standInProfile, blockSize: 16, kvBlocks: 4096 }
const engines = await Promise.all([8001, 8002].map(port => startSimulatedEngineProcess({ port, ...engine })))
try {
  await import('./example.ts')
} finally {
  await Promise.all(engines.map(engine => engine.close()))
}
console.log('the example of the README ran on Node ' + process.versions.node)
process.exit()
`

const [packed = ''] = process.argv.slice(2)
const tarballs = readdirSync(packed).filter(file => file.endsWith('.tgz'))
const example = readUnits(process.cwd()).find(unit => unit.page === 'README.md' && unit.kind === 'run')
if (tarballs.length === 0 || example === undefined) throw new Error(`no packed packages in ${packed}, or no example in README.md`)

const folder = mkdtempSync(join(tmpdir(), 'kvfleet-host-'))
try {
  const versions = Object.entries(companions).map(([name, owner]) => [name, declaredVersion(owner, name)])
  const dependencies = Object.fromEntries([...versions, ...tarballs.map(file => [packageName(file), `file:${resolve(packed, file)}`])])
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }))
  writeFileSync(join(folder, 'example.ts'), example.code)
  writeFileSync(join(folder, 'run.mjs'), program)
  if (!run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'])) throw new Error('the packed packages could not be installed')
  if (!run(join(folder, 'node_modules/.bin/kvfleet-gateway'), ['--version']))
    throw new Error('the installed program kvfleet-gateway does not start')
  const failed = NODE_VERSIONS.filter(version => !runOn(version))
  if (failed.length > 0) throw new Error(`the example at ${example.page}:${example.line} failed on Node ${failed.join(', ')}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function runOn(version: string): boolean {
  const args = ['--import', 'tsx', 'run.mjs']
  if (process.versions.node.startsWith(`${version}.`)) return run(process.execPath, args)
  return run('npx', ['-y', '-p', `node@${version}`, 'node', ...args])
}

function run(command: string, args: readonly string[]): boolean {
  const { status, error } = spawnSync(command, args, {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: COMMAND_LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  if (error !== undefined) console.error(`${command} ${args.join(' ')}: ${error.message}`)
  return status === 0
}

/** `kvfleet-core-0.1.0.tgz` -> `@kvfleet/core`. */
function packageName(tarball: string): string {
  return tarball.replace(/^kvfleet-(.+?)-\d.*$/, '@kvfleet/$1')
}

function declaredVersion(owner: string, name: string): string {
  const { devDependencies } = JSON.parse(readFileSync(join(owner, 'package.json'), 'utf8')) as {
    readonly devDependencies: Readonly<Record<string, string>>
  }
  const version = devDependencies[name]
  if (version === undefined) throw new Error(`${owner}/package.json declares no ${name}`)
  return version
}
