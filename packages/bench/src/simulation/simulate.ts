import { createFleet, type DrainReport, errorMessage, type Fleet, KvFleetError, seededRandom } from '@kvfleet/core'
import {
  createSimulatedEngine,
  inProcessEngine,
  inProcessKvEvents,
  type SimulatedEngine,
  type SimulatedEngineStats,
} from '@kvfleet/core/simulated-engine/model'
import { createVirtualClock, type VirtualClock } from '@kvfleet/core/virtual-time'
import { createRouter } from '@kvfleet/router'
import type { RequestRecord } from '../metrics/request-record.js'
import { type RunSummary, summarize } from '../metrics/summarize.js'
import type { RunEvent } from '../report/run-document.js'
import { traceBlockHashes } from '../workload/prompt-tokens.js'
import { replayThroughRouter } from './replay-through-router.js'
import { parseSimulationOptions, type SimulationAction, type SimulationOptions } from './simulation-options.js'

export interface SimulatedWorkerFigures {
  readonly workerId: string
  /** Requests routed to it. */
  readonly requests: number
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  readonly engine: SimulatedEngineStats
}

export interface SimulationResult {
  readonly name: string
  /** Always true: the engines are simulated. */
  readonly standIn: true
  /** `chunkAt` and `chunkTokens` are empty: gaps between tokens are counted in the summary only. */
  readonly records: readonly RequestRecord[]
  readonly summary: RunSummary
  readonly workers: readonly SimulatedWorkerFigures[]
  readonly drains: readonly DrainReport[]
  /** What the script did and what came of it, in trace time. */
  readonly events: readonly RunEvent[]
}

/** While a drain or a join is under way, promises get a turn this often in virtual time. */
const SLICE_MS = 250

/**
 * The trace through the production fleet, router and policy over simulated engines, in virtual time. Equal options
 * give equal results, byte for byte.
 */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const parsed = parseSimulationOptions(options)
  const { trace, policy, workers: workerCount, engine: engineOptions, seed, kvEventDelayMs, signal, name = policy.name } = parsed
  const blockHashes = parsed.blockHashes ?? traceBlockHashes(trace, engineOptions.blockSize)
  if (blockHashes.blockSize !== engineOptions.blockSize) {
    throw new KvFleetError(
      'OPTION_INVALID',
      `simulate: blockHashes: expected blocks of ${engineOptions.blockSize} tokens, got ${blockHashes.blockSize}`,
    )
  }
  const clock = createVirtualClock()
  const engines = new Map<string, SimulatedEngine>()
  const fleet = createFleet({
    clock,
    random: seededRandom(`${seed}/fleet`),
    // In-process engines cannot be unreachable; without probes the run needs no promises between events.
    probes: false,
    ...(kvEventDelayMs !== false && { kvEvents: inProcessKvEvents({ delayMs: kvEventDelayMs }) }),
  })
  const router = createRouter({ fleet, policy })
  const add = async (workerId: string): Promise<void> => {
    const engine = createSimulatedEngine(engineOptions, { clock })
    engines.set(workerId, engine)
    await fleet.add({ id: workerId, url: `http://${workerId}.simulated`, engine: inProcessEngine(engine), profile: engineOptions.profile })
  }
  try {
    for (let worker = 0; worker < workerCount; worker++) await clock.runUntil(add(`w${worker}`))
    const replayed = replayThroughRouter(trace, blockHashes, { router, engines, clock })
    const { events, drains } = await runScript(parsed.actions, { clock, fleet, add, signal })
    clock.runToIdleSync()
    const records = replayed.records()
    return {
      name,
      standIn: true,
      records,
      summary: summarize(records, replayed.gaps),
      workers: [...engines].map(([workerId, engine]) => workerFigures(workerId, engine, records)),
      drains,
      events,
    }
  } finally {
    for (const engine of engines.values()) engine.close()
    await router.close()
    await clock.runUntil(fleet.close())
  }
}

interface ScriptContext {
  readonly clock: VirtualClock
  readonly fleet: Fleet
  readonly add: (workerId: string) => Promise<void>
  readonly signal: AbortSignal | undefined
}

async function runScript(actions: readonly SimulationAction[], { clock, fleet, add, signal }: ScriptContext) {
  const events: RunEvent[] = []
  const drains: DrainReport[] = []
  const failures: unknown[] = []
  let underWay = 0
  const startedAt = clock.now()
  const start = async (action: SimulationAction): Promise<void> => {
    const { atMs, workerId } = action
    if (action.type === 'add') {
      await add(workerId)
      events.push({ at: clock.now() - startedAt, label: `${workerId} added` })
      return
    }
    events.push({ at: atMs, label: `${workerId} draining` })
    const report = await fleet.drain(
      workerId,
      action.deadlineMs === undefined ? {} : { deadlineMs: action.deadlineMs, onDeadline: 'abort' },
    )
    drains.push(report)
    events.push({ at: atMs + report.waitedMs, label: `${workerId} drained` })
  }
  const advanceTo = async (at: number): Promise<void> => {
    while (underWay > 0 && startedAt + at > clock.now()) {
      clock.advanceSync(Math.min(SLICE_MS, startedAt + at - clock.now()))
      await clock.advance(0)
    }
    if (startedAt + at > clock.now() && Number.isFinite(at)) clock.advanceSync(startedAt + at - clock.now())
    signal?.throwIfAborted()
  }
  for (const action of [...actions].sort((a, b) => a.atMs - b.atMs)) {
    await advanceTo(action.atMs)
    underWay++
    start(action)
      .catch(error => failures.push(error))
      .finally(() => underWay--)
    await clock.advance(0)
  }
  await advanceTo(Number.POSITIVE_INFINITY)
  if (failures.length > 0) {
    throw new KvFleetError('OPTION_INVALID', `simulate: actions: ${errorMessage(failures[0])}`, { cause: failures[0] })
  }
  return { events: events.sort((a, b) => a.at - b.at), drains }
}

function workerFigures(workerId: string, engine: SimulatedEngine, records: readonly RequestRecord[]): SimulatedWorkerFigures {
  const own = records.filter(record => record.workerId === workerId)
  return {
    workerId,
    requests: own.length,
    promptTokens: own.reduce((sum, record) => sum + record.promptTokens, 0),
    cachedTokens: own.reduce((sum, record) => sum + (record.cachedTokens ?? 0), 0),
    outputTokens: own.reduce((sum, record) => sum + record.outputTokens, 0),
    engine: engine.stats(),
  }
}
