import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { standInProfile } from '../../engine-profile.js'
import { startSimulatedEngineProcess } from './index.js'

const options = { profile: standInProfile, blockSize: 16, kvBlocks: 100, kvEvents: false } as const

/** Signal 0 only asks whether the process is there. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** A process takes a second to start, and several on a busy machine. */
describe('an engine in a process of its own', { timeout: 60_000 }, () => {
  it('serves, refuses a port that is taken, and is gone after close', async () => {
    const engine = await startSimulatedEngineProcess({ ...options, kvEvents: true })
    try {
      expect(engine).toMatchObject({
        url: `http://127.0.0.1:${engine.port}`,
        kvEventsPort: expect.any(Number),
        replayPort: expect.any(Number),
      })
      expect(engine.pid).not.toBe(process.pid)
      expect((await fetch(`${engine.url}/health`)).status).toBe(200)
      await expect(startSimulatedEngineProcess({ ...options, port: engine.port })).rejects.toMatchObject({
        code: 'LISTEN_FAILED',
        message: expect.stringContaining(`127.0.0.1:${engine.port}`),
      })
    } finally {
      await engine.close()
    }
    await engine.close()
    expect(isAlive(engine.pid)).toBe(false)
  })

  it('can be killed, as a machine that vanishes', async () => {
    const engine = await startSimulatedEngineProcess(options)
    const body = JSON.stringify({ prompt: [1, 2, 3], max_tokens: 1000, stream: true })
    const response = await fetch(`${engine.url}/v1/completions`, { method: 'POST', body })
    engine.kill()
    await engine.exited
    await expect(response.text()).rejects.toThrow()
    await expect(fetch(`${engine.url}/health`)).rejects.toThrow()
  })

  it('goes with a parent that dies without a word', async () => {
    const parent = fork(fileURLToPath(new URL('./parent-that-dies.fixture.ts', import.meta.url)), [], {
      execArgv: ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    const [pid] = (await once(parent, 'message')) as [number]
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    while (isAlive(pid)) await new Promise(resolve => setImmediate(resolve))
  })

  it('refuses wrong options before anything is started, and gives up when told to', async () => {
    await expect(startSimulatedEngineProcess({ ...options, kvBlocks: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    const reason = new Error('changed my mind')
    await expect(startSimulatedEngineProcess({ ...options, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const abort = new AbortController()
    const starting = startSimulatedEngineProcess({ ...options, signal: abort.signal })
    abort.abort(reason)
    await expect(starting).rejects.toBe(reason)
  })
})
