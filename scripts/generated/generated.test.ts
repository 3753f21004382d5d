import { expect, it } from 'vitest'
import { firstDifference } from '../kept-files.js'
import { defaultsTable, readDefaults } from './defaults.js'
import { fillSections } from './sections.js'
import { table } from './table.js'

const sections = new Map([['metrics', () => '| a |\n']])
const page = (content: string) => `# Page\n\n<!-- generated: metrics -->${content}<!-- /generated -->\n\nEnd\n`

it('fills a section and is stable when it runs again', async () => {
  const once = await fillSections('p.md', page('\nold text\n'), sections)
  expect(once).toBe(page('\n\n| a |\n\n'))
  expect(await fillSections('p.md', once, sections)).toBe(once)
})

it('leaves a page without sections as it is', async () => {
  expect(await fillSections('p.md', 'text', sections)).toBe('text')
})

it('refuses a section that nothing stands behind, and one that never ends', async () => {
  await expect(fillSections('p.md', '<!-- generated: figures -->\n<!-- /generated -->', sections)).rejects.toThrow(
    'p.md: no generator for the section "figures"',
  )
  await expect(fillSections('p.md', '<!-- generated: metrics -->\n', sections)).rejects.toThrow('has no <!-- /generated -->')
})

it('reads defaults with their reasons, nested ones with their path', () => {
  const text = `
    /** All of them. */
    export const defaults = {
      /** A second is what
       * people wait. */
      waitMs: 1_000,
      probe: {
        /** Short. */
        timeoutMs: 2 * 1000,
      },
    } as const
    /** Alone. */
    export const seed = 1
  `
  expect(readDefaults('defaults.ts', text)).toEqual([
    { name: 'defaults.waitMs', value: '1_000', reason: 'A second is what people wait.' },
    { name: 'defaults.probe.timeoutMs', value: '2 * 1000', reason: 'Short.' },
    { name: 'seed', value: '1', reason: 'Alone.' },
  ])
})

it('keeps a table a table', () => {
  expect(table(['a', 'b'], [['x | y', 'two\nlines']])).toBe('| a | b |\n| --- | --- |\n| x \\| y | two lines |')
  expect(defaultsTable([{ name: 'n', value: 'v', reason: 'r' }])).toContain('| `n` | `v` | r |')
})

it('says where a kept text and the code part', () => {
  expect(firstDifference('a.md', 'one\ntwo\n', 'one\n2\n')).toBe('a.md:2: kept "two", the code says "2"')
  expect(firstDifference('a.md', 'one', 'one\ntwo')).toBe('a.md:2: kept the end, the code says "two"')
  expect(firstDifference('a.md', undefined, 'x')).toBe('a.md: missing')
  expect(firstDifference('a.md', 'x', undefined)).toBe('a.md: nothing in the code stands behind it')
})
