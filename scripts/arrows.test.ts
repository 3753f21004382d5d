import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** A small workspace of the same shape; each line of code breaks the rule that it is listed under. */
const violations: Record<string, Record<string, string>> = {
  'core-stands-alone': { 'packages/core/src/a.ts': "import '@kvfleet/router'" },
  'router-is-apart': { 'packages/router/src/a.ts': "import '@kvfleet/bench'", 'packages/router/src/b.ts': "import '@kvfleet/cache'" },
  'placement-is-apart': { 'packages/placement/src/a.ts': "import '@kvfleet/router'" },
  'cache-is-apart': { 'packages/cache/src/a.ts': "import type { B } from '@kvfleet/placement'\nexport type A = B" },
  'no-package-imports-examples': { 'packages/bench/src/a.ts': "import '../../../examples/start/index.js'" },
  'no-reaching-into-a-package': {
    'packages/router/src/c.ts': "import '../../core/src/light.js'",
    'examples/start/reaching.ts': "import '../../packages/core/src/light.js'",
  },
  'core-index-is-light': { 'packages/core/src/index.ts': "export * from './light.js'\nimport './connect.js'" },
  'router-index-has-no-server': { 'packages/router/src/index.ts': "export * from './serve.js'" },
  'deciding-is-not-acting': { 'packages/router/src/create-router.ts': "import './retry.js'" },
  'strategies-are-pure': {
    'packages/router/src/policies/a.ts': "import '../dispatch/index.js'",
    'packages/router/src/scorers/a.ts': "import '../gateway/index.js'",
    'packages/router/src/filters/a.ts': "import '../dispatch/index.js'",
    'packages/router/src/pickers/a.ts': "import '../gateway/index.js'",
  },
  'no-test-in-the-product': { 'packages/bench/src/d.ts': "import './d.test.js'" },
  'no-cycles': { 'packages/bench/src/ring-a.ts': "import './ring-b.js'" },
  'no-unresolved': { 'packages/bench/src/lost.ts': "import './nowhere.js'" },
}

/** What the violations above import, and what is fine. */
const rest: Record<string, string> = {
  'packages/core/src/light.ts': 'export type Light = 1',
  'packages/core/src/connect.ts': [
    './kv-events/zeromq/index.js',
    './simulated-engine/model/index.js',
    './prometheus/index.js',
    'zeromq',
    'prom-client',
  ]
    .map(target => `import '${target}'`)
    .join('\n'),
  'packages/core/src/kv-events/zeromq/index.ts': 'export type Zeromq = 1',
  'packages/core/src/simulated-engine/model/index.ts': 'export type Model = 1',
  'packages/core/src/prometheus/index.ts': 'export type Prometheus = 1',
  'node_modules/zeromq/index.js': '',
  'node_modules/prom-client/index.js': '',
  'packages/router/src/serve.ts': "import './gateway/index.js'",
  'packages/router/src/gateway/index.ts': 'export type Gateway = 1',
  'packages/router/src/retry.ts': "import './dispatch/index.js'",
  'packages/router/src/dispatch/index.ts': "import '@kvfleet/core'",
  'packages/placement/src/index.ts': "import '@kvfleet/core'\nexport type B = 1",
  'packages/cache/src/index.ts': "import type { Light } from '@kvfleet/core'\nexport type C = Light",
  'packages/bench/src/index.ts': "import '@kvfleet/core'\nimport '@kvfleet/router'",
  'packages/bench/src/d.test.ts': "import '@kvfleet/router'",
  'packages/bench/src/ring-b.ts': "import './ring-a.js'",
  'packages/bench/src/types-a.ts': "import type { B } from './types-b.js'\nexport type A = B | 1",
  'packages/bench/src/types-b.ts': "import type { A } from './types-a.js'\nexport type B = A | 2",
  'examples/start/index.ts': "import '@kvfleet/core'\nimport '@kvfleet/bench'",
}

const names = ['core', 'router', 'placement', 'cache', 'bench']
const folder = mkdtempSync(join(tmpdir(), 'kvfleet-arrows-'))
afterAll(() => rmSync(folder, { recursive: true }))

interface Violation {
  readonly from: string
  readonly to: string
  readonly rule: { readonly name: string }
}

let violated: readonly Violation[] = []
const found = () => violated.map(({ from, rule }) => `${rule.name} ${from}`)

beforeAll(() => {
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  for (const [file, code] of Object.entries(Object.assign({}, rest, ...Object.values(violations)) as Record<string, string>))
    write(file, code)
  write('package.json', JSON.stringify({ type: 'module' }))
  for (const name of names) {
    write(`packages/${name}/package.json`, JSON.stringify({ name: `@kvfleet/${name}`, type: 'module', exports: { '.': './src/index.ts' } }))
  }
  mkdirSync(join(folder, 'node_modules/@kvfleet'), { recursive: true })
  for (const name of names) symlinkSync(join(folder, 'packages', name), join(folder, 'node_modules/@kvfleet', name))
  for (const file of ['tsconfig.json', 'tsconfig.base.json', '.dependency-cruiser.cjs']) cpSync(file, join(folder, file))
  const cruiser = join(process.cwd(), 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')
  const output = execFileSync(process.execPath, [cruiser, 'packages', 'examples', '--output-type', 'json'], {
    cwd: folder,
    encoding: 'utf8',
  })
  violated = (JSON.parse(output) as { readonly summary: { readonly violations: readonly Violation[] } }).summary.violations
}, 60_000)

describe('the arrows', () => {
  for (const [rule, files] of Object.entries(violations)) {
    it.each(Object.keys(files))(`${rule} is found in %s`, file => {
      expect(found()).toContain(`${rule} ${file}`)
    })
  }

  it('name each heavy thing that the main entry of core reaches', () => {
    const reached = violated.filter(({ rule }) => rule.name === 'core-index-is-light').map(({ to }) => to)
    expect(reached.sort()).toEqual([
      'node_modules/prom-client/index.js',
      'node_modules/zeromq/index.js',
      'packages/core/src/kv-events/zeromq/index.ts',
      'packages/core/src/prometheus/index.ts',
      'packages/core/src/simulated-engine/model/index.ts',
    ])
  })

  it('find nothing else', () => {
    const expected = Object.entries(violations).flatMap(([rule, files]) => Object.keys(files).map(file => `${rule} ${file}`))
    expect(found().filter(finding => !expected.includes(finding))).toEqual([])
  })
})
