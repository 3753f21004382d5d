import { expect, it, vi } from 'vitest'
import { loadZeromq } from './load-zeromq.js'

vi.mock('zeromq', () => {
  throw new Error('Cannot find package')
})

it('names the package to install when the optional peer is missing', async () => {
  await expect(loadZeromq()).rejects.toMatchObject({
    code: 'DEPENDENCY_MISSING',
    message: expect.stringContaining('npm install zeromq'),
    details: { package: 'zeromq' },
  })
})
