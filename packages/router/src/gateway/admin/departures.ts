import type { DrainReport, KvFleetError } from '@kvfleet/core'
import { LRUCache } from 'lru-cache'
import { adminDefaults } from '../defaults.js'
import { drainJson } from './worker-json.js'

/** Why a worker is not in the fleet any more, or never was: what `GET /workers/{id}` says beside 404, for a while. */
export class Departures {
  readonly #recent = new LRUCache<string, object>({ max: adminDefaults.rememberedDepartures })

  joinFailed(id: string, { code, message }: KvFleetError): void {
    this.#recent.set(id, { reason: 'join-failed', code, message })
  }

  removed(id: string, report: DrainReport): void {
    this.#recent.set(id, { reason: 'removed', drain: drainJson(report) })
  }

  forget(id: string): void {
    this.#recent.delete(id)
  }

  of(id: string): object | undefined {
    return this.#recent.get(id)
  }
}
