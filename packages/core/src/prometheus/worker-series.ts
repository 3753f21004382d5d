import type { Counter, Gauge, Histogram } from 'prom-client'

type Metric = Counter | Gauge | Histogram
type Labels = Readonly<Record<string, string>>

/** Remembers which series each worker has, so that they go when it does: a fleet that scales would else grow its page for ever. */
export class WorkerSeries {
  readonly #byWorker = new Map<string, Map<Metric, Map<string, Labels>>>()

  /** Call with every use of a series; `labels` holds the worker's id under `worker`. */
  used(metric: Metric, labels: Labels): void {
    const worker = labels['worker'] ?? ''
    if (worker === '') return
    const metrics = entry(this.#byWorker, worker, () => new Map<Metric, Map<string, Labels>>())
    const series = entry(metrics, metric, () => new Map<string, Labels>())
    const key = Object.values(labels).join('\n')
    if (!series.has(key)) series.set(key, labels)
  }

  forget(worker: string): void {
    for (const [metric, series] of this.#byWorker.get(worker) ?? []) {
      for (const labels of series.values()) metric.remove(labels)
    }
    this.#byWorker.delete(worker)
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}
