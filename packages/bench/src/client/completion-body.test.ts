import fc from 'fast-check'
import { expect, it } from 'vitest'
import { completionBody } from './completion-body.js'

it('writes what join would', () => {
  const ids = fc.uint32Array({ maxLength: 50 })
  fc.assert(
    fc.property(ids, list => {
      expect(completionBody('{"prompt":[', list, '],"ü":1}').toString()).toBe(`{"prompt":[${list.join(',')}],"ü":1}`)
    }),
  )
  const edges = Uint32Array.of(0, 9, 10, 99, 100, 2 ** 31, 2 ** 32 - 1)
  expect(completionBody('', edges, '').toString()).toBe(edges.join(','))
})
