import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { afterAll, expect, it } from 'vitest'
import { apiReports, packageEntries, reportFile } from './api-report.js'

const folder = mkdtempSync(join(tmpdir(), 'kvfleet-api-'))
afterAll(() => rmSync(folder, { recursive: true }))

function write(file: string, text: string): void {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), text)
}

const options: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  strict: true,
  types: [],
  // The library's own declarations take seconds to read and play no part here.
  noLib: true,
}

/** The declarations of the report on `code` as the main entry of a package. */
function report(code: string): string {
  write('packages/core/src/index.ts', code)
  const text = apiReports(packageEntries(folder), options).get('@kvfleet/core') ?? ''
  return /```ts\n([\s\S]*)\n```/.exec(text)?.[1] ?? ''
}

write('package.json', JSON.stringify({ type: 'module' }))
write('packages/core/package.json', JSON.stringify({ name: '@kvfleet/core', type: 'module', exports: { '.': './src/index.ts' } }))
write(
  'packages/core/src/shapes.ts',
  'export interface Square { readonly side: number }\nexport interface Circle { readonly radius: number }\n',
)

it('holds every export once, sorted, whatever the order and layout of the source', () => {
  const one = report("export * from './shapes.js'\nexport function area(side: number) { return side * side }")
  const other = report(
    "/** A comment. */ export function area(\n  side: number,\n) { return side*side }\nexport { type Square, type Circle } from './shapes.js'",
  )
  expect(one).toBe(other)
  expect(one.match(/^export \w+ \w+/gm)).toEqual(['export interface Circle', 'export interface Square', 'export function area'])
})

it('shows inferred types, overloads and renamed exports', () => {
  const text = report(
    'export const limits = { maxBytes: 5 } as const\n' +
      'export function read(a: string): string\nexport function read(a: number): number\nexport function read(a: unknown) { return a as never }\n' +
      "export type { Square as Quadrat } from './shapes.js'",
  )
  expect(text).toContain('export const limits: {\n    readonly maxBytes: 5;\n}')
  expect(text).toContain('export function read(a: string): string;\nexport function read(a: number): number;')
  expect(text).not.toContain('unknown')
  expect(text).toContain('export { Square as Quadrat }\nexport interface Square')
})

it('leaves out what is not exported', () => {
  expect(report('const hidden = 1\nexport const shown = hidden')).toBe('export const shown = 1;')
})

it('has one file per entry', () => {
  expect(reportFile('@kvfleet/core')).toBe('core.api.md')
  expect(reportFile('@kvfleet/core/kv-events/zeromq')).toBe('core-kv-events-zeromq.api.md')
})
