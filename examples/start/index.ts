/** `npm start`: what kvfleet does, on this machine, without a GPU. */
import {
  compareSimulated,
  generateConversationTrace,
  progressBar,
  type RunDocument,
  readTrace,
  simulationDocument,
  type Trace,
} from '@kvfleet/bench'
import { errorMessage, KvFleetError, systemClock } from '@kvfleet/core'
import { kvAware, leastLoaded, powerOfTwo, random, roundRobin } from '@kvfleet/router'
import { describeMachine, socketDocument } from './documents.js'
import { type StartOptions, startOptions, usage } from './options.js'
import { printChange, printTable, writeReports } from './report.js'
import { serveUntil } from './serve.js'
import { socketRun } from './socket-runs.js'

async function main(options: StartOptions, signal: AbortSignal): Promise<void> {
  const createdAt = new Date().toISOString()
  const trace = await loadTrace(options, signal)
  const overSockets = firstRequests(trace, options.requests)

  console.log(
    `Four simulated vLLM workers and a gateway on 127.0.0.1, ${overSockets.requests.length} requests of "${trace.name}" under each of two policies.`,
  )
  console.log('The engines are simulated: figures compare policies with each other and are no measurement of a GPU.\n')
  const runs = [
    await socketRun('round-robin', overSockets, options, { rolling: false, signal }),
    await socketRun('kv-aware', overSockets, options, { rolling: true, signal }),
  ]
  const sockets = socketDocument(overSockets, runs, options, createdAt)
  printTable(sockets)
  for (const { change } of runs) if (change !== undefined) printChange(change)

  const simulated = firstRequests(trace, options.simulatedRequests ?? trace.requests.length)
  const simulation = await simulateEveryPolicy(simulated, options, createdAt, signal)
  printTable(simulation)
  await writeReports([sockets, simulation], options.html, options.json)
  if (options.serve) await serveUntil(options, signal)
}

/** The trace in virtual time: the same fleet and router code, the same engine model, no sockets. */
async function simulateEveryPolicy(trace: Trace, { seed }: StartOptions, createdAt: string, signal: AbortSignal): Promise<RunDocument> {
  const policies = [roundRobin(), random(), leastLoaded(), powerOfTwo(), kvAware()]
  const bar = progressBar({ stream: process.stderr, total: policies.length, clock: systemClock, label: 'simulation' })
  let done = 0
  const simulation = { trace, seed, signal }
  const results = await compareSimulated({ ...simulation, policies, onResult: () => bar.update({ done: ++done }) })
  bar.end()
  return simulationDocument({ title: 'Simulated in virtual time', createdAt, machine: describeMachine(), simulation, results })
}

function loadTrace({ trace, seed }: StartOptions, signal: AbortSignal): Promise<Trace> | Trace {
  return trace === undefined ? generateConversationTrace({ seed }) : readTrace(trace, { seed, signal })
}

function firstRequests(trace: Trace, count: number): Trace {
  if (count >= trace.requests.length) return trace
  return { ...trace, requests: trace.requests.slice(0, count), notes: [...trace.notes, `cut to the first ${count} requests`] }
}

const stopped = new AbortController()
process.once('SIGINT', () => stopped.abort(new KvFleetError('ABORTED', 'stopped')))
process.once('SIGTERM', () => stopped.abort(new KvFleetError('ABORTED', 'stopped')))

try {
  const options = startOptions(process.argv.slice(2))
  if (options === undefined) console.log(usage)
  else await main(options, stopped.signal)
} catch (error) {
  if (stopped.signal.aborted) process.exitCode = 130
  else {
    console.error(errorMessage(error))
    process.exitCode = KvFleetError.is(error) ? 2 : 1
  }
}
