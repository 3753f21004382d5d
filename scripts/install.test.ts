import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ensureInstalled, installReason, nodeTooOld } from './install.mjs'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kvfleet-install-'))
  writeFileSync(join(root, 'pnpm-lock.yaml'), 'lockfileVersion: 9\n')
})
afterEach(() => rmSync(root, { recursive: true }))

function stamp(lockfile: string): void {
  mkdirSync(join(root, 'node_modules'), { recursive: true })
  writeFileSync(join(root, 'node_modules/.kvfleet-lockfile-hash'), `${createHash('sha256').update(lockfile).digest('hex')}\n`)
}

it('installs when there is no node_modules folder, or one of unknown origin', () => {
  expect(installReason(root)).toBe('nothing is installed yet')
  mkdirSync(join(root, 'node_modules'))
  expect(installReason(root)).toBe('it is unknown what is installed')
})

it('installs again when the lockfile has changed, and only then', () => {
  stamp('lockfileVersion: 9\n')
  expect(installReason(root)).toBeUndefined()
  expect(ensureInstalled(root)).toBe(0)
  writeFileSync(join(root, 'pnpm-lock.yaml'), 'lockfileVersion: 10\n')
  expect(installReason(root)).toBe('the lockfile has changed')
})

it.each(['v18.20.0', 'v20.18.3', 'v16.0.0'])('says in a sentence what to do on Node %s', version => {
  expect(nodeTooOld(version)).toMatch(/^Node 20\.19 or newer is needed; this is Node .*\. Install Node 22/)
})

it.each(['v20.19.0', 'v20.20.2', 'v22.0.0', 'v24.1.0'])('runs on Node %s', version => {
  expect(nodeTooOld(version)).toBeUndefined()
})
