import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The first Node that can load an ES module with `require`, which some of the tools rely on. */
const OLDEST_NODE = [20, 19]
const PNPM = 'pnpm@10.34.9'

/** undefined when `version` ("v20.19.0") is new enough, else a sentence for people. */
export function nodeTooOld(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  const [wantedMajor, wantedMinor] = OLDEST_NODE
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return undefined
  return `Node ${OLDEST_NODE.join('.')} or newer is needed; this is Node ${version.replace(/^v/, '')}. Install Node 22 (https://nodejs.org) and run the same command again.`
}

/** Why the dependencies in `root` have to be installed; undefined when they fit the lockfile. */
export function installReason(root) {
  if (!existsSync(join(root, 'node_modules'))) return 'nothing is installed yet'
  const stamp = stampFile(root)
  if (!existsSync(stamp)) return 'it is unknown what is installed'
  return readFileSync(stamp, 'utf8').trim() === lockfileHash(root) ? undefined : 'the lockfile has changed'
}

/** Installs what the lockfile names, when that is not in place. Returns an exit code. */
export function ensureInstalled(root) {
  const reason = installReason(root)
  if (reason === undefined) return 0
  console.error(`kvfleet: installing dependencies, because ${reason} (npx ${PNPM} install --frozen-lockfile)`)
  const hash = lockfileHash(root)
  // CI: pnpm asks before it replaces a node_modules folder of another layout, which needs a terminal.
  const result = spawnSync('npx', ['-y', PNPM, 'install', '--frozen-lockfile', '--reporter=append-only'], {
    cwd: root,
    env: { ...process.env, CI: 'true' },
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (result.status === 0) writeFileSync(stampFile(root), `${hash}\n`)
  else console.error(`kvfleet: the installation failed${result.error ? `: ${result.error.message}` : ''}`)
  return result.status ?? 1
}

/** Inside node_modules, so that deleting that folder forgets it too. */
function stampFile(root) {
  return join(root, 'node_modules', '.kvfleet-lockfile-hash')
}

function lockfileHash(root) {
  return createHash('sha256')
    .update(readFileSync(join(root, 'pnpm-lock.yaml')))
    .digest('hex')
}
