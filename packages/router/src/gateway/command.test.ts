import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SocketFleet, until } from '../testing/socket-fleet.js'
import { runCommand } from './command.js'
import { parseCommand } from './command-options.js'

let sockets: SocketFleet
beforeEach(() => {
  sockets = new SocketFleet()
})
afterEach(() => sockets[Symbol.asyncDispose]())

/** Runs the command in this process until `stop`, keeping what it says. */
function run(...argv: string[]) {
  const stop = new AbortController()
  const out: string[] = []
  const errors: string[] = []
  const code = runCommand(argv, { print: line => out.push(line), complain: line => errors.push(line), signal: stop.signal })
  sockets.defer(async () => {
    stop.abort()
    await code
  })
  return { out, errors, code, stop: () => stop.abort() }
}

const completion = (fields: object = {}) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'm', prompt: 'hi', max_tokens: 3, ...fields }),
})
const urlIn = (lines: readonly string[]) => /http:\/\/127\.0\.0\.1:\d+/.exec(lines.join('\n'))?.[0] ?? ''

describe('the command line', () => {
  it('has defaults for everything', () => {
    expect(parseCommand([])).toEqual({
      kind: 'serve',
      host: '127.0.0.1',
      port: 8080,
      adminPort: 8081,
      policy: 'kv-aware',
      engine: 'vllm',
      workers: [],
      graceMs: undefined,
    })
  })

  it('reads workers with and without ids', () => {
    const order = parseCommand([
      '--worker',
      'http://127.0.0.1:8001',
      '--worker=big=https://[::1]:9000/base?x=1',
      '--port',
      '9',
      '--admin-port',
      '3',
      '--grace-ms',
      '5',
    ])
    expect(order).toMatchObject({
      workers: [
        { id: '127.0.0.1:8001', url: 'http://127.0.0.1:8001' },
        { id: 'big', url: 'https://[::1]:9000/base?x=1' },
      ],
      port: 9,
      adminPort: 3,
      graceMs: 5,
    })
  })

  it.each([
    [['--prot', '1'], 'kvfleet-gateway: unknown option --prot, did you mean --port?'],
    [['--port', '70000'], '--port: expected a whole number of at least 0 and at most 65535, got "70000"'],
    [
      ['--policy', 'kvaware'],
      '--policy: expected one of kv-aware, round-robin, least-loaded, power-of-two, random, got "kvaware", did you mean "kv-aware"?',
    ],
    [['--engine', 'trt'], '--engine: expected one of vllm, sglang, llamacpp, openai, got "trt"'],
    [['--worker', '127.0.0.1:8001'], '--worker: expected a URL such as http://127.0.0.1:8001, got "127.0.0.1:8001"'],
    [['--worker', 'http://a:1', '--worker', 'http://a:1'], '--worker: expected different ids, got "a:1" twice'],
    [['extra'], 'kvfleet-gateway: '],
  ])('%j ends with code 2 and one line that names what is wrong', async (argv, message) => {
    const { code, out, errors } = run(...argv)
    expect(await code).toBe(2)
    expect(out).toEqual([])
    expect(errors).toEqual([expect.stringContaining(message)])
    expect(errors[0]).not.toContain('\n')
  })

  it('prints help and version', async () => {
    const help = run('--help')
    expect(await help.code).toBe(0)
    for (const name of ['--worker', '--engine', '--policy', '--port', '--admin-port', '--grace-ms']) expect(help.out[0]).toContain(name)
    const version = run('--version')
    expect(await version.code).toBe(0)
    expect(version.out[0]).toMatch(/^\d+\.\d+\.\d+$/)
  })
})

describe('serving', () => {
  it('says who joined and who did not, and where it listens', async () => {
    const engine = await sockets.serve()
    const { out, errors, code, stop } = run(
      '--port',
      '0',
      '--policy',
      'round-robin',
      '--worker',
      `a=${engine.url}`,
      '--worker',
      'bad=http://user:pw@127.0.0.1:1',
    )
    await until(() => out.length >= 2 && errors.length >= 1, 'both workers to have tried')
    expect(out[0]).toMatch(/^listening on http:\/\/127\.0\.0\.1:\d+, admin API on http:\/\/127\.0\.0\.1:\d+, policy round-robin$/)
    expect(out[1]).toBe(`worker a joined: ${engine.url}, models m`)
    expect(errors[0]).toMatch(/^worker bad failed to join: fleet\.add: url: expected no credentials/)
    expect((await fetch(`${urlIn(out)}/v1/completions`, completion())).status).toBe(200)
    stop()
    expect(await code).toBe(0)
    await expect(fetch(`${urlIn(out)}/healthz`)).rejects.toThrow()
  })

  it('routes by KV events: the second half of a conversation goes where the first half is', async () => {
    const engines = [await sockets.serve({ kvEvents: true }), await sockets.serve({ kvEvents: true })]
    const { out } = run('--port', '0', ...engines.flatMap(({ url }) => ['--worker', url]))
    await until(() => out.length >= 3, 'both workers to join')
    const ask = async (prompt: string) => {
      const response = await fetch(`${urlIn(out)}/v1/completions`, completion({ prompt }))
      const { usage } = (await response.json()) as { usage: { prompt_tokens_details: { cached_tokens: number } } }
      return [response.headers.get('x-kvfleet-worker'), usage.prompt_tokens_details.cached_tokens] as const
    }
    const prompt = Array.from({ length: 2000 }, (_, at) => `w${at}`).join(' ')
    const [first] = await ask(prompt)
    // The event that tells of the prompt's blocks travels beside the answer.
    await until(
      async () => (await (await fetch(`${urlIn(out)}/metrics`)).text()).includes(`kvfleet_kv_events_total{worker="${first}"}`),
      'the KV event',
    )
    for (let count = 0; count < 3; count++) {
      const [worker, cached] = await ask(`${prompt} and then`)
      expect(worker).toBe(first)
      expect(cached).toBeGreaterThan(1900)
    }
  })

  it('ends with code 2 when its port is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { code, errors } = run('--port', String(port))
    expect(await code).toBe(2)
    expect(errors).toEqual([`kvfleet-gateway: gateway: cannot listen on 127.0.0.1:${port}: the port is in use`])
    server.close()
  })
})

describe('the process', () => {
  const start = (...argv: string[]): { child: ChildProcess; lines: string[] } => {
    const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('./cli.ts', import.meta.url)), ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    sockets.defer(async () => {
      child.kill('SIGKILL')
    })
    const lines: string[] = []
    const keep = (text: Buffer) => lines.push(...text.toString().trimEnd().split('\n'))
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    return { child, lines }
  }

  it('finishes what is in flight at SIGTERM and ends with code 0', async () => {
    const engine = await sockets.serve()
    const { child, lines } = start('--port', '0', '--worker', engine.url)
    await until(() => lines.some(line => line.includes('joined')), 'the worker to join', 15_000)
    const response = await fetch(`${urlIn(lines)}/v1/completions`, completion({ stream: true, max_tokens: 100 }))
    child.kill('SIGTERM')
    expect((await response.text()).endsWith('data: [DONE]\n\n')).toBe(true)
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(lines).toContain('stopping; requests in flight: 1')
  }, 20_000)

  it('ends at once with code 130 at a second signal', async () => {
    const engine = await sockets.serve()
    const { child, lines } = start('--port', '0', '--worker', engine.url)
    await until(() => lines.some(line => line.includes('joined')), 'the worker to join', 15_000)
    const response = await fetch(`${urlIn(lines)}/v1/completions`, completion({ stream: true, max_tokens: 100_000 }))
    child.kill('SIGINT')
    await until(() => lines.some(line => line.startsWith('stopping')), 'the first signal to be seen')
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([130, null])
    await expect(response.text()).rejects.toThrow()
  }, 20_000)

  it('ends with code 2 and one line on standard error for a wrong option', async () => {
    const { child, lines } = start('--polcy', 'x')
    expect(await once(child, 'close')).toEqual([2, null])
    expect(lines).toEqual(['kvfleet-gateway: unknown option --polcy, did you mean --policy?'])
  }, 20_000)
})
