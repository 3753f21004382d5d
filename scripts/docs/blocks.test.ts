import { describe, expect, it } from 'vitest'
import { extractUnits, refuseAddresses } from './blocks.js'

const page = (...lines: string[]) => lines.join('\n')
const units = (...lines: string[]) => extractUnits('guide.md', page(...lines))

describe('the code blocks of a page', () => {
  it('keep their line numbers, so that an error names the line of the page', () => {
    const [unit] = units('# Title', '', '```ts', 'const a = 1', '```')
    expect(unit?.code.split('\n')[3]).toBe('const a = 1')
    expect(unit).toMatchObject({ page: 'guide.md', kind: 'run', line: 4, file: 'line-4.ts' })
  })

  it('are those in ts only', () => {
    expect(units('```sh', 'npm test', '```', '```ts title="x"', 'a()', '```', '~~~typescript', 'b()', '~~~')).toHaveLength(2)
  })

  it('end at a fence as long as theirs, and lose the indent of a list', () => {
    const [unit] = units('- item', '', '  ````ts', '  const fence = `', '  ```', '  `', '  ````')
    expect(unit?.code.trimStart()).toBe('const fence = `\n```\n`\n')
  })

  it('join the block before them when they continue it', () => {
    const [unit, ...others] = units('```ts', 'const a = 1', '```', 'Then:', '<!-- docs: continue -->', '', '```ts', 'a + 1', '```')
    expect(others).toEqual([])
    expect(unit?.code.split('\n')[1]).toBe('const a = 1')
    expect(unit?.code.split('\n')[7]).toBe('a + 1')
  })

  it('can be a file, a test, or not run with a reason', () => {
    const found = units(
      '<!-- docs: file="policy.ts" -->',
      '```ts',
      'export {}',
      '```',
      '<!-- docs: test -->',
      '```ts',
      '```',
      '<!-- docs: no-run reason="needs two machines" -->',
      '```ts',
      '```',
    )
    expect(found.map(({ kind, file, reason }) => ({ kind, file, reason }))).toEqual([
      { kind: 'run', file: 'policy.ts', reason: undefined },
      { kind: 'test', file: 'line-7.test.ts', reason: undefined },
      { kind: 'no-run', file: 'line-10.ts', reason: 'needs two machines' },
    ])
  })

  it.each([
    [['<!-- docs: no-run -->', '```ts', '```'], 'guide.md:1: a block that is not run needs a reason'],
    [['<!-- docs: contiue -->', '```ts', '```'], 'guide.md:1: "docs: contiue" is none of'],
    [['<!-- docs: continue -->', '```ts', '```'], 'guide.md:3: there is no block before it'],
    [['<!-- docs: test -->', 'text', '```ts', '```'], 'guide.md:2: a docs comment must stand right before its block'],
    [['<!-- docs: test -->', '```sh', '```'], 'guide.md:3: a docs comment stands before a block that is not ts'],
    [['```ts', 'a()'], 'guide.md:2: the code block is never closed'],
  ])('are refused with their place: %j', (lines, message) => {
    expect(() => units(...lines)).toThrow(message)
  })
})

describe('network addresses in code blocks', () => {
  const refuse = (code: string) => () => {
    for (const unit of units('```ts', code, '```')) refuseAddresses(unit)
  }

  it.each([
    "fetch('http://127.0.0.1:8001')",
    "connect('tcp://localhost:5557')",
    "new OpenAI({ baseURL: 'http://fleet/v1' })",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text is code
    'fetch(`http://${host}:8001`)',
    "listen({ host: '127.0.0.1' })",
    "const version = '1.2.3'",
  ])('are fine on this machine: %s', code => {
    expect(refuse(code)).not.toThrow()
  })

  it.each([
    ["fetch('https://example.com/x')", 'https://example.com'],
    ["connect('tcp://10.0.0.7:5557')", 'tcp://10.0.0.7'],
    ["listen({ host: '0.0.0.0' })", '0.0.0.0'],
    ["fetch('https://fleet/v1')", 'https://fleet'],
    ["fetch('http://127.0.0.1.example.com')", 'http://127.0.0.1.example.com'],
    ["fetch('http://127.0.0.1@example.com')", 'http://127.0.0.1@example.com'],
  ])('are refused elsewhere, with page and line: %s', (code, address) => {
    expect(refuse(code)).toThrow(`guide.md:2: the block names the network address "${address}"`)
  })
})
