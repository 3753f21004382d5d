import fc from 'fast-check'
import { expect, it } from 'vitest'
import { WholeEvents } from './whole-events.js'

const line = fc.constantFrom('data: {"a":1}', 'data:', ': ping', 'event: x', 'ä€😀')
const newline = fc.constantFrom('\n', '\r\n')
const event = fc
  .tuple(fc.array(line, { minLength: 1, maxLength: 3 }), newline)
  .map(([lines, end]) => lines.map(one => one + end).join('') + end)

it('passes every byte on, in order, and stops only between events', () => {
  fc.assert(
    fc.property(fc.array(event), fc.string(), fc.array(fc.nat({ max: 40 })), (events, tail, cuts) => {
      const stream = Buffer.from(events.join('') + tail.replaceAll(/[\r\n]/g, ''))
      const parts = new WholeEvents()
      let passed = Buffer.alloc(0)
      let from = 0
      for (const length of [...cuts, stream.length]) {
        const chunk = stream.subarray(from, Math.min(stream.length, from + length))
        from += chunk.length
        passed = Buffer.concat([passed, parts.push(chunk) ?? Buffer.alloc(0)])
        // What has passed is some number of whole events, and all of those that have arrived.
        const whole = boundaries(events).filter(boundary => boundary <= from)
        expect(passed.length).toBe(whole.at(-1) ?? 0)
      }
      expect(Buffer.concat([passed, parts.rest() ?? Buffer.alloc(0)]).equals(stream)).toBe(true)
    }),
  )
})

it('passes a chunk of whole events on as it is', () => {
  const chunk = Buffer.from('data: 1\n\ndata: 2\n\n')
  expect(new WholeEvents().push(chunk)).toBe(chunk)
})

it('waits for no end of an event beyond a mebibyte', () => {
  const events = new WholeEvents()
  expect(events.push(Buffer.alloc(1024 * 1024, 'x'))).toBeUndefined()
  expect(events.push(Buffer.from('x'))).toHaveLength(1024 * 1024 + 1)
})

function boundaries(events: readonly string[]): number[] {
  let end = 0
  return events.map(one => (end += Buffer.byteLength(one)))
}
