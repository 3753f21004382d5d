import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** Code that may stand in one file of a package only, and the words of the finding. */
const banned: Record<string, string> = {
  'export const value = Date.now()': 'Date.now',
  'export const value = Date.now': 'Date.now',
  'export const value = new Date()': 'Date without an argument',
  'export const value = new Date': 'Date without an argument',
  'export const value = performance.now()': 'performance.now',
  'export const value = process.hrtime.bigint()': 'process.hrtime',
  'export const value = Math.random()': 'Math.random',
  'export const value = setTimeout(() => {}, 1)': 'setTimeout',
  'export const value = setInterval(() => {}, 1)': 'setInterval',
  'export const value = globalThis.setTimeout(() => {}, 1)': 'globalThis',
  'export const value = globalThis.performance.now()': 'globalThis',
  "import { setTimeout as wait } from 'node:timers/promises'\nawait wait(1)": 'Sleep on a Clock',
  "console.log('said')": 'console',
  'export const value = process.env.HOME': 'process.env',
  'export const value: any = 1': 'any',
}

const allowed = [
  'export const value = new Date(5)',
  'setImmediate(() => {})',
  'queueMicrotask(() => {})',
  'export const value = process.hrtimeOffset',
]

const folder = mkdtempSync(join(tmpdir(), 'kvfleet-lint-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** File -> what biome says about it. */
const findings = new Map<string, string[]>()

function write(file: string, code: string): void {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), `${code}\n`)
}

const productFile = (index: number) => `packages/core/src/fixture-${index}.ts`
const snippets = [...Object.keys(banned), ...allowed]
/** Where the machine's own clock, chance, console and environment may be touched. */
const exempt = [
  'packages/core/src/clock.ts',
  'packages/core/src/random.ts',
  'packages/router/src/gateway/cli.ts',
  'packages/core/src/a/process.ts',
]
const timeAndConsole = 'export const value = [Date.now(), Math.random(), process.env.HOME]\nconsole.log(value)\nsetTimeout(() => {}, 1)'

beforeAll(() => {
  cpSync('biome.json', join(folder, 'biome.json'))
  cpSync('scripts/lint', join(folder, 'scripts/lint'), { recursive: true })
  for (const [index, code] of snippets.entries()) write(productFile(index), code)
  for (const file of [...exempt, 'packages/core/src/x.test.ts', 'examples/start/index.ts']) write(file, timeAndConsole)
  const biome = join(process.cwd(), 'node_modules/@biomejs/biome/bin/biome')
  const report = JSON.parse(runToEnd([biome, 'lint', '--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none', '.'])) as {
    readonly diagnostics: readonly { readonly message: string; readonly severity: string; readonly location: { readonly path: string } }[]
  }
  for (const { message, severity, location } of report.diagnostics) {
    if (severity === 'error') findings.set(location.path, [...(findings.get(location.path) ?? []), message])
  }
})

/** Standard output, whatever the exit code. */
function runToEnd(args: readonly string[]): string {
  try {
    return execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch (error) {
    return (error as { readonly stdout: string }).stdout
  }
}

describe('the bans on the machine’s own clock, chance, timers, environment and console', () => {
  for (const [index, code] of snippets.entries()) {
    const words = banned[code]
    it(`${words === undefined ? 'allow' : 'find'}: ${code.replaceAll('\n', ' ')}`, () => {
      const messages = findings.get(productFile(index)) ?? []
      if (words === undefined) expect(messages).toEqual([])
      else expect(messages.join('\n')).toContain(words)
    })
  }

  it.each([...exempt, 'packages/core/src/x.test.ts', 'examples/start/index.ts'])('do not hold in %s', file => {
    expect(findings.get(file)).toBeUndefined()
  })
})
