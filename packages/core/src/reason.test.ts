import { expect, it } from 'vitest'
import { formatReason } from './index.js'

it('formats a reason as one line with its numbers rounded', () => {
  expect(formatReason({ code: 'no-kv-events' })).toBe('no-kv-events')
  expect(formatReason({ code: 'prefix-overlap', values: { blocks: 12, share: 0.123456, worker: 'a', best: true } })).toBe(
    'prefix-overlap (blocks=12, share=0.1235, worker=a, best=true)',
  )
})
