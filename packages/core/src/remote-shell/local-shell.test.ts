import { describe, expect, it } from 'vitest'
import { createVirtualClock } from '../virtual-time.js'
import { localShell } from './index.js'

const node = (script: string) => ({ program: process.execPath, arguments: ['-e', script] })

describe('localShell', () => {
  it('gives output and exit status of whatever ran', async () => {
    const result = await localShell().run(node('process.stdout.write("out"); process.stderr.write("err"); process.exitCode = 3'))
    expect(result).toMatchObject({ exitCode: 3, stdout: 'out', stderr: 'err' })
  })

  it('passes arguments through without a shell in between, and input to the program', async () => {
    const echo = await localShell().run({ program: 'echo', arguments: ['$HOME; *', '&& false'] })
    expect(echo.stdout).toBe('$HOME; * && false\n')
    const cat = await localShell().run({ program: 'cat', input: 'line' })
    expect(cat.stdout).toBe('line')
  })

  it('reports a signal as 128 plus its number', async () => {
    const result = await localShell().run(node('process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 1000)'))
    expect(result.exitCode).toBe(143)
  })

  it('says which program cannot be started', async () => {
    await expect(localShell().run({ program: 'no-such-program' })).rejects.toMatchObject({
      code: 'SHELL_UNREACHABLE',
      message: expect.stringContaining('no-such-program'),
    })
  })

  it('ends a command at its timeout and on abort', async () => {
    const clock = createVirtualClock()
    const late = localShell({ clock }).run({ ...node('setInterval(() => {}, 1000)'), timeoutMs: 5 })
    await clock.advance(5)
    await expect(late).rejects.toMatchObject({ code: 'ABORTED', message: expect.stringContaining('5 ms') })

    const controller = new AbortController()
    const aborted = localShell().run({ ...node('setInterval(() => {}, 1000)'), signal: controller.signal })
    controller.abort()
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
