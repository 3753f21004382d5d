import { describe, expect, it } from 'vitest'
import { commandLineNumber, parseCommandLine } from './index.js'

const table = { port: { type: 'string' }, worker: { type: 'string', multiple: true }, serve: { type: 'boolean' } } as const
const parse = (...argv: string[]) => parseCommandLine('gateway', table, argv)

describe('parseCommandLine', () => {
  it('reads values, flags and repeated options', () => {
    expect(parse('--port', '80', '--worker=a', '--worker', 'b', '--serve')).toEqual({ port: '80', worker: ['a', 'b'], serve: true })
  })

  it('names what it does not know and the nearest option', () => {
    expect(() => parse('--prot=80')).toThrow('gateway: unknown option --prot, did you mean --port?')
    expect(() => parse('--colour')).toThrow('gateway: unknown option --colour')
    expect(() => parse('stray')).toThrow(/gateway: .*stray/)
    expect(() => parse('--port')).toThrow(/gateway: .*--port/)
    expect(() => parse('--port', '-1')).toThrow(/^gateway: [^\n]*--port[^\n]*$/)
    expect(() => parse('--serve=yes')).toThrow(/gateway: .*--serve/)
  })
})

describe('commandLineNumber', () => {
  it('accepts what is in range and names option, text and range otherwise', () => {
    expect(commandLineNumber('gateway', 'port', '8080', { min: 0, max: 65_535, integer: true })).toBe(8080)
    for (const text of ['', 'many', '1.5', '-1', '70000']) {
      expect(() => commandLineNumber('gateway', 'port', text, { min: 0, max: 65_535, integer: true })).toThrow(
        `gateway: --port: expected a whole number of at least 0 and at most 65535, got "${text}"`,
      )
    }
  })

  it('takes only finite numbers', () => {
    for (const text of ['Infinity', '-Infinity', '1e999', 'NaN']) {
      expect(() => commandLineNumber('gateway', 'speed', text)).toThrow(`gateway: --speed: expected a number, got "${text}"`)
    }
  })
})
