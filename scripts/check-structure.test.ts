import { describe, expect, it } from 'vitest'
import { checkComments, checkLockfile, checkMachineTraces, checkSource, countLines, machineTraces } from './check-structure.js'

const lines = (count: number) => 'export {}\n'.repeat(count)
const messages = (findings: readonly { readonly message: string; readonly line: number }[]) =>
  findings.map(({ line, message }) => `${line}: ${message}`)

describe('source files', () => {
  it('have at most 500 lines', () => {
    expect(checkSource('packages/core/src/a.ts', lines(500))).toEqual([])
    expect(messages(checkSource('packages/core/src/a.ts', lines(501)))).toEqual(['0: 501 lines; at most 500'])
  })

  it.each(['filters', 'scorers', 'pickers', 'policies', 'engines'])('have fewer than 150 lines when they are plug-ins in %s/', folder => {
    expect(checkSource(`packages/router/src/${folder}/a.ts`, lines(149))).toEqual([])
    expect(checkSource(`packages/router/src/${folder}/a.ts`, lines(150))).toHaveLength(1)
    expect(checkSource(`packages/router/src/${folder}/a.test.ts`, lines(150))).toEqual([])
  })

  it('use no any, whatever its place', () => {
    const text = 'const any = 1\n// any comment\nexport const a = any as any\nexport type B = Map<string, any[]>\n'
    expect(messages(checkSource('packages/core/src/a.ts', text))).toEqual(['3: the type "any"', '4: the type "any"'])
  })

  it('count lines with and without a final line break alike', () => {
    expect([countLines(''), countLines('a'), countLines('a\n'), countLines('a\nb')]).toEqual([0, 1, 1, 2])
  })
})

describe('comments', () => {
  const suppress = (what: string) => `// @ts-${what}`

  it('switch off no type check; an expected error in a test is none', () => {
    const text = `${suppress('ignore')}\n/* ${suppress('nocheck').slice(3)} */\n${suppress('expect-error')}: wrong on purpose`
    expect(checkComments('packages/core/src/a.ts', text).map(({ line }) => line)).toEqual([1, 2])
  })

  it.each(['TO', 'FIX'].map((start, index) => start + ['DO', 'ME'][index]))('leave no open end: %s', word => {
    expect(checkComments('examples/a.ts', `// ${word}: later`)).toHaveLength(1)
    expect(checkComments('examples/a.ts', `const mas${word.toLowerCase()} = 1`)).toEqual([])
  })
})

describe('traces of one machine', () => {
  const traces = machineTraces({ root: '/srv/build/kvfleet', home: '/home/ada', registry: 'https://mirror.internal:8443/npm/' })
  const found = (text: string) => checkMachineTraces('a.md', text, traces).length > 0
  const [root, registry] = ['root', 'npmjs'].map(word => `${word}`)

  it.each([
    '/srv/build/kvfleet/packages',
    'cd /home/ada/x',
    `/${root}/.cache`,
    `https://registry.${registry}.org/`,
    'mirror.internal:8443',
  ])('are found: %s', text => {
    expect(found(text)).toBe(true)
  })

  it.each([`docs/${root}/x`, 'frame/work/y', '/srv/other', 'packages/core'])('are not seen in: %s', text => {
    expect(found(text)).toBe(false)
  })
})

describe('the lockfile', () => {
  it('names no download address', () => {
    const address = ['https', '//mirror.example/a.tgz'].join(':')
    expect(checkLockfile('pnpm-lock.yaml', '  http-proxy@1.0.0:\n    resolution: {integrity: sha512-x}\n')).toEqual([])
    expect(checkLockfile('pnpm-lock.yaml', `resolution: {tarball: ${address}}`)).toHaveLength(1)
  })
})
