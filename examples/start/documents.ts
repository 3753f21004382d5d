import { arch, cpus, platform, totalmem } from 'node:os'
import { demonstration, type RunDocument, runSeries, summarize, type Trace } from '@kvfleet/bench'
import type { StartOptions } from './options.js'
import type { SocketRun } from './socket-runs.js'

export function socketDocument(trace: Trace, runs: readonly SocketRun[], options: StartOptions, createdAt: string): RunDocument {
  const { profile, blockSize, kvBlocks } = demonstration.engine
  return {
    title: 'Over real sockets',
    createdAt,
    standIn: true,
    machine: describeMachine(),
    parameters: {
      trace: trace.name,
      requests: trace.requests.length,
      workers: demonstration.workers,
      engineProfile: profile.name,
      blockSize,
      kvBlocks,
      timeScale: options.timeScale,
      seed: options.seed,
    },
    notes: [...trace.notes, `Arrivals and engines run ${options.timeScale} times as fast as real time; every figure is in model time.`],
    series: runs.map(({ policy, records, change }) => runSeries(policy, summarize(records), records, change && changeEvents(change))),
    events: [],
  }
}

function changeEvents({ addedAt, drainStartedAt, drainedAt }: NonNullable<SocketRun['change']>): RunDocument['events'] {
  return [
    { at: addedAt, label: 'worker-5 joined' },
    { at: drainStartedAt, label: 'worker-1 began to drain' },
    { at: drainedAt, label: 'worker-1 drained' },
  ]
}

export function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? arch()
  return `${cpus().length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${arch()}, Node ${process.versions.node}`
}
