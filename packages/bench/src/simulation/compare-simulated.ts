import type { Policy } from '@kvfleet/router'
import { type RunDocument, type RunEvent, runSeries } from '../report/run-document.js'
import { traceBlockHashes } from '../workload/prompt-tokens.js'
import { demonstration } from './demonstration.js'
import { type SimulationResult, simulate } from './simulate.js'
import type { SimulationOptions } from './simulation-options.js'

export interface CompareSimulatedOptions extends Omit<SimulationOptions, 'policy' | 'blockHashes' | 'name'> {
  /** One run each, over the same trace, fleet, seed and script. */
  readonly policies: readonly Policy[]
  /** After each run. */
  readonly onResult?: (result: SimulationResult) => void
}

/** Runs the policies one after the other; each begins with empty caches. */
export async function compareSimulated({ policies, onResult, ...options }: CompareSimulatedOptions): Promise<SimulationResult[]> {
  const blockHashes = traceBlockHashes(options.trace, (options.engine ?? demonstration.engine).blockSize)
  const results: SimulationResult[] = []
  for (const policy of policies) {
    const result = await simulate({ ...options, policy, blockHashes })
    results.push(result)
    onResult?.(result)
  }
  return results
}

export interface SimulationDocumentOptions {
  readonly title: string
  /** ISO 8601. */
  readonly createdAt: string
  readonly machine: string
  /** The options of the runs: the parameters listed are taken from them. */
  readonly simulation: Omit<CompareSimulatedOptions, 'policies' | 'onResult'>
  readonly results: readonly SimulationResult[]
}

/** The results as a document for reports. What every run's script did at the same time is the document's; the rest is the run's own. */
export function simulationDocument({ title, createdAt, machine, simulation, results }: SimulationDocumentOptions): RunDocument {
  const { trace, workers = demonstration.workers, engine = demonstration.engine, seed, kvEventDelayMs } = simulation
  return {
    title,
    createdAt,
    standIn: true,
    machine,
    parameters: {
      trace: trace.name,
      requests: trace.requests.length,
      workers,
      engineProfile: engine.profile.name,
      blockSize: engine.blockSize,
      kvBlocks: engine.kvBlocks,
      ...(engine.maxRunningRequests !== undefined && { maxRunningRequests: engine.maxRunningRequests }),
      ...(seed !== undefined && { seed }),
      ...(kvEventDelayMs !== undefined && { kvEventDelayMs }),
    },
    notes: [...trace.notes, 'Virtual time: the production router, policies and fleet over simulated engines.'],
    series: results.map(({ name, summary, records, events }) =>
      runSeries(
        name,
        summary,
        records,
        events.filter(event => !isCommon(event)),
      ),
    ),
    events: (results[0]?.events ?? []).filter(isCommon),
  }

  function isCommon({ at, label }: RunEvent): boolean {
    return results.every(result => result.events.some(event => event.at === at && event.label === label))
  }
}
