import type { DrainReport, Worker } from '@kvfleet/core'

/** A worker as the admin API shows it: everything but its upstream headers. */
export function workerJson(worker: Worker): object {
  const { id, url, engine, role, models, phase, health, cordoned, leases, incarnation } = worker
  const { blockSize, dataParallelRanks, capacity, topology, labels, readyAt } = worker
  return {
    id,
    url,
    engine: engine.name,
    role,
    models,
    phase,
    health,
    cordoned,
    leases,
    incarnation,
    blockSize,
    dataParallelRanks,
    capacity,
    topology,
    labels,
    readyAt: readyAt === 0 ? null : new Date(readyAt).toISOString(),
    ranks: Array.from({ length: dataParallelRanks }, (_, rank) => ({
      rank,
      inFlight: worker.inFlight(rank),
      load: worker.load(rank) ?? null,
    })),
  }
}

/** What a call that starts something answers with. */
export function startedJson({ id, phase, leases }: Worker): object {
  return { id, phase, leases }
}

export function drainJson({ waitedMs, finished, aborted, deadlinePassed, hookError }: DrainReport): object {
  return {
    waitedMs,
    finished,
    aborted,
    deadlinePassed,
    ...(hookError === undefined ? {} : { hookError: { code: hookError.code, message: hookError.message } }),
  }
}
