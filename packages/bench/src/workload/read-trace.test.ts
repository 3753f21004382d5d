import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KvFleetError } from '@kvfleet/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAzureTrace } from './read-azure.js'
import { readMooncakeTrace } from './read-mooncake.js'
import { readTrace } from './read-trace.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvfleet-trace-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

const line = (timestamp: number, input: number, output: number, ids: readonly number[]) =>
  `${JSON.stringify({ timestamp, input_length: input, output_length: output, hash_ids: ids })}\n`

const mooncake = [line(0, 600, 5, [0, 1]), line(0, 512, 6, [0]), line(0, 1024, 7, [0, 2]), line(3000, 1, 8, [9])].join('')
const azure = `TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\r\n2023-11-17 00:00:00,1,1`

async function rejection(promise: Promise<unknown>): Promise<KvFleetError> {
  const error = await promise.then(
    () => undefined,
    reason => reason,
  )
  if (!KvFleetError.is(error)) throw new Error('expected a KvFleetError')
  return error
}

describe('readMooncakeTrace', () => {
  it('leaves fine timestamps as they are', async () => {
    const times = [0, 17, 403, 1250, 1251, 9876]
    const path = await file('fine.jsonl', times.map(at => line(at, 100, 5, [0])).join(''))
    const { requests, notes } = await readMooncakeTrace(path)
    expect(requests.map(({ arrivalMs }) => arrivalMs)).toEqual(times)
    expect(notes).toEqual([])
  })

  it('reads lengths and block ids, and spreads the requests of one tick inside it in their order', async () => {
    const trace = await readMooncakeTrace(await file('a.jsonl', mooncake))
    expect(trace).toMatchObject({ name: 'a', blockTokens: 512 })
    expect(trace.requests.map(({ promptTokens, outputTokens, blockIds }) => [promptTokens, outputTokens, blockIds])).toEqual([
      [600, 5, [0, 1]],
      [512, 6, [0]],
      [1024, 7, [0, 2]],
      [1, 8, [9]],
    ])
    const arrivals = trace.requests.map(request => request.arrivalMs)
    expect(arrivals).toEqual([...arrivals].sort((a, b) => a - b))
    expect(new Set(arrivals).size).toBe(4)
    expect(arrivals[2]).toBeLessThan(3000)
    expect(arrivals[3]).toBeGreaterThanOrEqual(3000)
    expect(trace.notes.join()).toContain('3000 ms tick')
  })

  it('spreads equally for equal seeds and differently for others', async () => {
    const path = await file('seeds.jsonl', mooncake)
    const arrivals = async (seed: number) => (await readMooncakeTrace(path, { seed })).requests.map(request => request.arrivalMs)
    expect(await arrivals(5)).toEqual(await arrivals(5))
    expect(await arrivals(5)).not.toEqual(await arrivals(6))
  })

  it('keeps coarse times when told to, cuts and speeds up, and notes it', async () => {
    const path = await file('options.jsonl', mooncake)
    const kept = await readMooncakeTrace(path, { spreadTicks: false, speedUp: 2 })
    expect(kept.requests.map(request => request.arrivalMs)).toEqual([0, 0, 0, 1500])
    expect(kept.notes).toEqual(['arrival times divided by 2'])
    const cut = await readMooncakeTrace(path, { spreadTicks: false, limit: 2 })
    expect(cut.requests).toHaveLength(2)
    expect(cut.notes).toEqual(['cut to the first 2 requests'])
  })

  it.each([
    ['a torn line', `${line(0, 1, 1, [0])}{"timestamp": 3000, "input_le`, { line: 2, field: '', expected: 'a JSON object' }],
    ['a missing field', '{"timestamp":0,"input_length":4,"hash_ids":[1]}', { line: 1, field: 'output_length' }],
    [
      'a wrong type',
      '{"timestamp":"0","input_length":4,"output_length":1,"hash_ids":[1]}',
      { field: 'timestamp', value: '"0"', expected: 'number' },
    ],
    ['a length of zero', line(0, 0, 1, []), { field: 'input_length', value: '0', expected: 'at least 1' }],
    [
      'a fraction',
      '{"timestamp":0,"input_length":4.5,"output_length":1,"hash_ids":[1]}',
      { field: 'input_length', expected: 'an integer' },
    ],
    [
      'an unknown field',
      '{"timestamp":0,"input_length":4,"output_length":1,"hash_ids":[1],"delay":3}',
      { field: 'delay', expected: 'no such field' },
    ],
    ['a negative id', line(0, 4, 1, [-1]), { field: 'hash_ids.0', value: '-1' }],
    ['too few ids', line(0, 513, 1, [0]), { field: 'hash_ids', value: '"1 ids"', expected: '2 ids, one for each 512 of input_length 513' }],
    ['an empty file', '', { line: 1, expected: 'at least one request' }],
  ])('names file, line, field, value and expectation for %s', async (name, text, details) => {
    const path = await file(`${name}.jsonl`, text)
    const error = await rejection(readMooncakeTrace(path))
    expect(error.code).toBe('FILE_INVALID')
    expect(error.details).toMatchObject({ file: path, ...details })
    expect(error.message).toContain(path)
  })

  it('rejects a file that cannot be read, and an unknown option', async () => {
    expect((await rejection(readMooncakeTrace(join(folder, 'absent.jsonl')))).code).toBe('FILE_INVALID')
    // @ts-expect-error: the option is misspelt on purpose
    const error = await rejection(readMooncakeTrace('any', { limits: 3 }))
    expect(error.message).toContain('did you mean "limit"?')
  })

  it('stops with ABORTED when its signal aborts', async () => {
    const path = await file('abort.jsonl', mooncake)
    expect((await rejection(readMooncakeTrace(path, { signal: AbortSignal.abort() }))).code).toBe('ABORTED')
  })
})

describe('readAzureTrace', () => {
  it('reads arrival times from the first request on, lengths, and no sharing', async () => {
    const trace = await readAzureTrace(await file('b.csv', azure))
    expect(trace.blockTokens).toBe(0)
    expect(trace.requests[0]).toEqual({ index: 0, arrivalMs: 0, promptTokens: 4808, outputTokens: 10, blockIds: [] })
    expect(trace.requests[1]?.arrivalMs).toBeCloseTo(52, 3)
    expect(trace.requests[2]?.arrivalMs).toBeCloseTo(20_576_020, 1)
  })

  it.each([
    ['a wrong header', 'a,b,c\n', 1, ''],
    ['a bad date', azure.replace('2023-11-17', '2023-13-17'), 4, 'TIMESTAMP'],
    ['a negative count', azure.replace('4808', '-4'), 2, 'ContextTokens'],
    ['a torn line', azure.slice(0, -2), 4, 'GeneratedTokens'],
    ['a fourth column', `${azure},5`, 4, ''],
  ])('names line and field for %s', async (name, text, number, field) => {
    const error = await rejection(readAzureTrace(await file(`${name}.csv`, text)))
    expect(error.code).toBe('FILE_INVALID')
    expect(error.details).toMatchObject({ line: number, field })
  })
})

describe('readTrace', () => {
  it('tells the formats apart by their first line', async () => {
    expect((await readTrace(await file('c.txt', `\n${mooncake}`), { limit: 1 })).blockTokens).toBe(512)
    expect((await readTrace(await file('d.txt', azure))).requests).toHaveLength(3)
    expect((await rejection(readTrace(await file('e.txt', 'hello')))).details).toMatchObject({ line: 1, value: '"hello"' })
    expect((await rejection(readTrace(await file('f.txt', '')))).code).toBe('FILE_INVALID')
  })
})
