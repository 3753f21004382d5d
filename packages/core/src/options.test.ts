import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { createFleet, KvFleetError, nearestName, parseOptions } from './index.js'

const schema = v.strictObject({
  deadlineMs: v.optional(v.pipe(v.number(), v.minValue(0))),
  probes: v.optional(v.strictObject({ intervalMs: v.number() })),
  workers: v.optional(v.array(v.strictObject({ id: v.string() }))),
})

const message = (input: unknown): string => {
  try {
    parseOptions('drain', schema, input)
  } catch (error) {
    expect(KvFleetError.is(error, 'OPTION_INVALID')).toBe(true)
    return (error as Error).message
  }
  throw new Error('was accepted')
}

describe('parseOptions', () => {
  it('returns what fits', () => {
    expect(parseOptions('drain', schema, { deadlineMs: 5 })).toEqual({ deadlineMs: 5 })
  })

  it('names an unknown key and the nearest known one, at any depth', () => {
    expect(message({ deadlineMS: 5 })).toBe('drain: unknown option "deadlineMS", did you mean "deadlineMs"?')
    expect(message({ probes: { intervalMs: 1, interval: 2 } })).toMatch(/"probes.interval", did you mean "intervalMs"/)
    expect(message({ workers: [{ id: 'a', idd: 1 }] })).toMatch(/"workers.0.idd", did you mean "id"/)
    expect(message({ colour: 'red' })).toBe('drain: unknown option "colour"')
  })

  it('names field, nearest name and value inside a union', () => {
    const options = v.strictObject({ deadlineMs: v.number(), startMs: v.optional(v.number()) })
    const union = v.strictObject({ drain: v.optional(v.union([v.literal(false), v.strictObject({ last: v.optional(options) })]), {}) })
    const faultOf = (input: unknown): KvFleetError => {
      try {
        parseOptions('close', union, input)
      } catch (error) {
        if (KvFleetError.is(error)) return error
      }
      throw new Error('was accepted')
    }
    const wrong = faultOf({ drain: { last: { deadlineMs: 'soon' } } })
    expect(wrong.message).toBe('close: drain.last.deadlineMs: expected number, got "soon"')
    expect(wrong.details).toMatchObject({ field: 'drain.last.deadlineMs', expected: 'number', received: '"soon"' })
    expect(faultOf({ drain: { lst: {} } }).message).toBe('close: unknown option "drain.lst", did you mean "last"?')
    expect(faultOf({ drain: { last: { deadlineMs: 1, startMS: 1 } } }).message).toMatch(/"drain.last.startMS", did you mean "startMs"/)
    expect(faultOf({ drain: true }).message).toMatch(/drain: expected \(false \| Object\), got true/)
    expect(() => createFleet({ probes: { intervalMs: -5 } })).toThrow(/^createFleet: probes\.intervalMs: expected more than 0 ms/)
  })

  it('names field, value and expectation', () => {
    expect(message({ deadlineMs: 'soon' })).toMatch(/deadlineMs: expected number, got "soon"/)
    expect(message({ deadlineMs: -1 })).toMatch(/deadlineMs: .*-1/)
    expect(message({ probes: {} })).toMatch(/probes.intervalMs/)
    expect(message(null)).toMatch(/expected Object, got null/)
  })
})

describe('nearestName', () => {
  it('finds what was probably meant, and nothing for what is far off', () => {
    expect(nearestName('polcy', ['policy', 'port'])).toBe('policy')
    expect(nearestName('kvaware', ['kv-aware', 'round-robin'])).toBe('kv-aware')
    expect(nearestName('zzzzzz', ['policy', 'port'])).toBeUndefined()
  })
})
