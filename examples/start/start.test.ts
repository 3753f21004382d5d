import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RunDocument } from '@kvfleet/bench'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const entry = fileURLToPath(new URL('./index.ts', import.meta.url))
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvfleet-start-'))
})
afterAll(() => rm(folder, { recursive: true }))

function start(...argv: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', entry, '--html', join(folder, 'report.html'), ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', chunk => {
    stdout += chunk
  })
  child.stderr.on('data', chunk => {
    stderr += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number, stdout, stderr }))
  return { child, ended }
}

/** A server on a port whose neighbour is free as well. */
async function listenSomewhere() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as { port: number }).port }
}

async function freePort(): Promise<number> {
  for (;;) {
    const { server, port } = await listenSomewhere()
    const next = createServer()
    const free = await new Promise<boolean>(resolve =>
      next.once('error', () => resolve(false)).listen(port + 1, '127.0.0.1', () => resolve(true)),
    )
    await Promise.all([server, next].map(one => one.listening && new Promise(resolve => one.close(resolve))))
    if (free) return port
  }
}

describe('npm start', () => {
  it('replays over sockets under both policies, drains and adds a worker without losing a request, and reports', {
    timeout: 120_000,
  }, async () => {
    const json = join(folder, 'documents.json')
    const options = ['--short', '--requests', '400', '--time-scale', '20', '--port', String(await freePort()), '--json', json]
    const { code, stdout, stderr } = await start(...options).ended
    expect({ code, stderr: stderr.replace(/^(round-robin|kv-aware|simulation).*\n/gm, '') }).toEqual({ code: 0, stderr: '' })

    const { documents } = JSON.parse(await readFile(json, 'utf8')) as { documents: [RunDocument, RunDocument] }
    const [sockets, simulation] = documents
    const [roundRobin, kvAware] = sockets.series.map(({ summary }) => summary)
    expect([roundRobin?.completedRequests, roundRobin?.failedRequests]).toEqual([400, 0])
    expect([kvAware?.completedRequests, kvAware?.failedRequests]).toEqual([400, 0])
    expect(kvAware?.prefixHitShare).toBeGreaterThan(roundRobin?.prefixHitShare ?? 1)
    expect(sockets.series[1]?.events.map(({ label }) => label)).toEqual(['worker-5 joined', 'worker-1 began to drain', 'worker-1 drained'])
    expect(simulation.series.map(({ name }) => name)).toEqual(['round-robin', 'random', 'least-loaded', 'power-of-two', 'kv-aware'])
    expect(documents.every(({ standIn }) => standIn)).toBe(true)

    expect(stdout).toMatch(/worker-1 was drained .* 0 aborted/)
    expect(await readFile(join(folder, 'report.html'), 'utf8')).toContain('<svg')
  })

  it('says in one line what is wrong with an option, a file or a port, and exits with 2', { timeout: 60_000 }, async () => {
    const torn = join(folder, 'torn.jsonl')
    await writeFile(torn, '{"timestamp":0,"input_length":10,"output_length":5,"hash_ids":[0]}\n{"timestamp":0,"inp\n')
    const { server, port } = await listenSomewhere()
    const cases = [
      { argv: ['--trce', 'x'], line: /unknown option --trce, did you mean --trace\?/ },
      { argv: ['--requests', 'many'], line: /--requests: expected a whole number .* got "many"/ },
      { argv: ['--trace', join(folder, 'absent.jsonl')], line: /absent\.jsonl/ },
      { argv: ['--trace', torn], line: /torn\.jsonl.*2/ },
      { argv: ['--requests', '10', '--port', String(port)], line: new RegExp(`${port}`) },
    ]
    try {
      const runs = await Promise.all(cases.map(({ argv }) => start(...argv).ended))
      for (const [index, { code, stderr }] of runs.entries()) {
        expect(stderr).toMatch(cases[index]?.line as RegExp)
        expect(stderr.trim().split('\n')).toHaveLength(1)
        expect(code).toBe(2)
      }
    } finally {
      server.close()
    }
  })

  it('ends everything on Ctrl-C', { timeout: 60_000 }, async () => {
    const { child, ended } = start('--requests', '1000', '--port', String(await freePort()))
    await once(child.stderr, 'data')
    child.kill('SIGINT')
    expect((await ended).code).toBe(130)
  })
})
