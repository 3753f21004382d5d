import { describe, expect, it, vi } from 'vitest'
import { errorMessage, KvFleetError, toKvFleetError } from './index.js'

describe('KvFleetError', () => {
  it('carries code, details, cause and whether to try again', () => {
    const cause = new Error('refused')
    const error = new KvFleetError('ENGINE_UNREACHABLE', 'no answer', { details: { url: 'http://a' }, cause, retryable: true })
    expect(error).toMatchObject({ name: 'KvFleetError', code: 'ENGINE_UNREACHABLE', cause, retryable: true })
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: 'ENGINE_UNREACHABLE',
      message: 'no answer',
      retryable: true,
      details: { url: 'http://a' },
    })
  })

  it('is recognised across copies of the package', async () => {
    vi.resetModules()
    const copy = await import('./errors.js')
    expect(copy.KvFleetError).not.toBe(KvFleetError)
    expect(new copy.KvFleetError('CLOSED', 'x')).toBeInstanceOf(KvFleetError)
    expect(KvFleetError.is(new copy.KvFleetError('CLOSED', 'x'), 'CLOSED')).toBe(true)
    expect(KvFleetError.is(new Error('x'))).toBe(false)
    expect(KvFleetError.is(undefined)).toBe(false)
  })

  it('wraps foreign errors and keeps its own', () => {
    const own = new KvFleetError('CLOSED', 'closed')
    expect(toKvFleetError(own, 'INTERNAL', 'context')).toBe(own)
    expect(toKvFleetError(new Error('boom'), 'INTERNAL', 'context')).toMatchObject({ code: 'INTERNAL', message: 'context: boom' })
    expect(toKvFleetError(AbortSignal.abort().reason, 'INTERNAL', 'context').code).toBe('ABORTED')
    expect(errorMessage('text')).toBe('text')
  })
})
