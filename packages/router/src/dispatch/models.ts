import { type Fleet, KvFleetError, type Worker } from '@kvfleet/core'
import type { RoutingRequest } from '../routing-request.js'
import { decodeSegment } from './request-path.js'

const LIST_PATH = '/v1/models'

/** OpenAI's answer to `GET /v1/models` or `GET /v1/models/{model}`; undefined for any other path. Throws NOT_FOUND. */
export function modelsReply(fleet: Fleet, path: string): object | undefined {
  if (path === LIST_PATH) return { object: 'list', data: listModels(fleet) }
  if (!path.startsWith(`${LIST_PATH}/`)) return undefined
  const id = decodeSegment(path.slice(LIST_PATH.length + 1))
  const found = listModels(fleet).find(model => model.id === id)
  if (found === undefined) throw modelUnknown(id)
  return found
}

/** Every model that an active worker names, in order of joining. */
function listModels(fleet: Fleet): { id: string; object: 'model'; created: number; owned_by: string }[] {
  const since = new Map<string, number>()
  for (const { models, readyAt } of fleet.list().filter(({ phase }) => phase === 'active')) {
    for (const model of models) if (!since.has(model)) since.set(model, readyAt)
  }
  return [...since].map(([id, readyAt]) => ({ id, object: 'model', created: Math.floor(readyAt / 1000), owned_by: 'kvfleet' }))
}

/** True when nobody was found because no worker of the fleet, busy or not, serves the model. */
export function isModelUnknown(fleet: Fleet, routing: RoutingRequest | undefined, error: unknown): boolean {
  const model = routing?.model
  if (model === undefined || !KvFleetError.is(error, 'ROUTE_NO_WORKER')) return false
  const workers = fleet.list().filter(({ phase }) => phase !== 'drained')
  return workers.length > 0 && !workers.some(worker => mayServe(worker, model))
}

export function modelUnknown(model: string | undefined): KvFleetError {
  return new KvFleetError('NOT_FOUND', `The model "${model}" does not exist: no worker serves it.`, {
    details: { field: 'model', openaiCode: 'model_not_found' },
  })
}

/** A worker that is still joining may not have told what it serves: it counts as serving everything. */
function mayServe({ models }: Worker, model: string): boolean {
  return models.length === 0 || models.includes(model)
}
