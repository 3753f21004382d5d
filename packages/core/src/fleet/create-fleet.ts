import { abortable } from '../abortable.js'
import { KvFleetError } from '../errors.js'
import type { Worker } from '../worker.js'
import { candidatesOf } from './candidates.js'
import type { Fleet, FleetOptions } from './fleet.js'
import { FleetEventHub } from './fleet-event-hub.js'
import { parseAddOptions, parseDrainOptions, parseFleetOptions, parseRemoveOptions } from './fleet-options.js'
import { type FleetContext, ManagedWorker } from './managed-worker.js'
import { parseWorkerSpec } from './worker-spec.js'

export function createFleet(options: FleetOptions = {}): Fleet {
  const settings = parseFleetOptions(options)
  const { clock, random, fetch, kvEvents } = settings
  const events = new FleetEventHub()
  /** By id, in order of joining. */
  const workers = new Map<string, ManagedWorker>()
  /** The same workers as hosts see them; a new array whenever one comes or goes. */
  let views: readonly Worker[] = []
  /** Past incarnations too, for as long as somebody holds them. */
  const managed = new WeakMap<Worker, ManagedWorker>()
  let incarnations = 0
  let leases = 0
  let kvReaders = 0
  let closed = false
  let closing: Promise<void> | undefined

  const context: FleetContext = {
    settings,
    events,
    kvWanted: () => kvReaders > 0,
    onRemoved: worker => {
      workers.delete(worker.view.id)
      views = Object.freeze(views.filter(view => view !== worker.view))
    },
  }
  const closedError = () => new KvFleetError('CLOSED', 'the fleet is closed')
  const checkOpen = () => {
    if (closed) throw closedError()
  }
  const find = (id: string): ManagedWorker => {
    checkOpen()
    const worker = workers.get(id)
    if (worker === undefined) throw unknownWorker(id)
    return worker
  }
  const resolve = (worker: Worker): ManagedWorker => {
    const found = managed.get(worker)
    if (found === undefined) throw unknownWorker(worker.id)
    return found
  }

  const fleet: Fleet = {
    clock,
    random,
    fetch,
    kvEvents: kvEvents?.name,
    async add(input, addOptions = {}) {
      checkOpen()
      const signal = parseAddOptions(addOptions)
      const spec = parseWorkerSpec(input)
      if (signal?.aborted) throw abortedError('add', spec.id, signal)
      const before = workers.get(spec.id)
      if (before?.phase === 'drained') before.leave()
      if (workers.has(spec.id)) {
        const phase = workers.get(spec.id)?.phase
        throw new KvFleetError('WORKER_EXISTS', `fleet.add: id: expected one that is free, "${spec.id}" is ${phase}`, {
          details: { workerId: spec.id, phase },
        })
      }
      const worker = new ManagedWorker(spec, ++incarnations, context)
      workers.set(spec.id, worker)
      managed.set(worker.view, worker)
      views = Object.freeze([...views, worker.view])
      const onAbort = () => worker.cancelJoin(abortedError('add', spec.id, signal))
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        await worker.join()
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
      return worker.view
    },
    async drain(id, drainOptions = {}) {
      parseDrainOptions(drainOptions)
      const worker = find(id)
      return waitFor('drain', id, drainOptions.signal, () => worker.drain(drainOptions))
    },
    async remove(id, removeOptions = {}) {
      parseRemoveOptions(removeOptions)
      const worker = find(id)
      return waitFor('remove', id, removeOptions.signal, () => worker.remove(removeOptions))
    },
    cordon(id) {
      const worker = find(id)
      worker.setCordoned(true)
      return worker.view
    },
    uncordon(id) {
      const worker = find(id)
      worker.setCordoned(false)
      return worker.view
    },
    get: id => workers.get(id)?.view,
    list: () => views,
    candidates: (query = {}) => candidatesOf(views, query),
    lease(worker, request) {
      checkOpen()
      return resolve(worker).lease(++leases, request)
    },
    connection: (worker, signal) => resolve(worker).connection(signal),
    on(event, listener, { passive = false } = {}) {
      const off = events.on(event, listener)
      if (event !== 'kv' || passive) return off
      kvReaders++
      for (const worker of workers.values()) worker.refreshKvFeed()
      let left = false
      return () => {
        off()
        if (left) return
        left = true
        kvReaders--
        if (kvReaders === 0) for (const worker of workers.values()) worker.refreshKvFeed()
      }
    },
    close() {
      closed = true
      closing ??= Promise.all([...workers.values()].map(worker => worker.close(closedError()))).then(() => events.clear())
      return closing
    },
    [Symbol.asyncDispose]: () => fleet.close(),
  }
  return fleet
}

/** One caller's signal ends only its own waiting; a signal that has aborted before starts nothing. */
async function waitFor<T>(what: string, id: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  if (signal?.aborted) throw abortedError(what, id, signal)
  try {
    return await abortable(work(), signal)
  } catch (error) {
    throw signal?.aborted && error === signal.reason ? abortedError(what, id, signal) : error
  }
}

function unknownWorker(id: string): KvFleetError {
  return new KvFleetError('WORKER_UNKNOWN', `no worker "${id}" is in this fleet`, { details: { workerId: id } })
}

function abortedError(what: string, id: string, signal: AbortSignal | undefined): KvFleetError {
  return new KvFleetError('ABORTED', `fleet.${what}: aborted by its caller`, { details: { workerId: id }, cause: signal?.reason })
}
