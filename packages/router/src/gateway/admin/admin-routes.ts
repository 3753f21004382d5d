import { type Fleet, KvFleetError, parseOptions, toKvFleetError, type Worker } from '@kvfleet/core'
import * as v from 'valibot'
import { errorReply } from '../../dispatch/error-reply.js'
import { decodeSegment } from '../../dispatch/request-path.js'
import type { Router } from '../../router.js'
import { Departures } from './departures.js'
import { workerSpec } from './worker-body.js'
import { drainJson, startedJson, workerJson } from './worker-json.js'

export interface AdminRequest {
  readonly method: string
  readonly url: URL
  readonly body: Uint8Array
}

export interface AdminReply {
  readonly status: number
  readonly value: unknown
}

type Route = (request: AdminRequest, id: string) => AdminReply | Promise<AdminReply>

const milliseconds = v.pipe(v.number(), v.finite('expected a finite number'), v.minValue(0, 'expected 0 or more'))
const onDeadline = v.optional(v.picklist(['wait', 'abort']))
const drainSchema = v.strictObject({ deadlineMs: v.optional(milliseconds), onDeadline })
/** As text, since they come in the query. */
const removeSchema = v.strictObject({
  deadlineMs: v.optional(v.pipe(v.string(), v.regex(/^\d+(\.\d+)?$/, 'expected a number'), v.toNumber(), milliseconds)),
  onDeadline,
  force: v.optional(
    v.pipe(
      v.picklist(['true', 'false']),
      v.transform(text => text === 'true'),
    ),
  ),
})

/** Answers or throws a KvFleetError. What takes long is started, answered with 202 and looked at by GET. */
export function createAdminRoutes(router: Router): (request: AdminRequest) => Promise<AdminReply> {
  const { fleet } = router
  const departures = new Departures()

  const routes: Readonly<Record<string, Route>> = {
    'GET /workers': () => ok({ workers: fleet.list().map(workerJson) }),
    'POST /workers': async ({ body }) => {
      const spec = workerSpec(jsonOf(body))
      const before = fleet.get(spec.id)
      const joining = fleet.add(spec)
      joining.catch(error => {
        if (fleet.get(spec.id) === undefined) departures.joinFailed(spec.id, toKvFleetError(error, 'INTERNAL', 'join'))
      })
      const worker = fleet.get(spec.id)
      // A spec that is refused never enters the fleet; then the rejection is there already.
      if (worker === undefined || worker === before)
        throw await joining.then(
          () => unknownWorker(spec.id),
          error => error,
        )
      departures.forget(spec.id)
      return started(worker)
    },
    'GET /workers/{id}': async (_, id) => {
      const worker = fleet.get(id)
      if (worker === undefined) return departed(id, departures.of(id))
      if (worker.phase !== 'drained') return ok(workerJson(worker))
      return ok({ ...workerJson(worker), drain: drainJson(await fleet.drain(id)) })
    },
    'POST /workers/{id}/drain': ({ body }, id) => {
      const options = parseOptions('drain', drainSchema, body.length === 0 ? {} : jsonOf(body))
      const worker = workerOf(fleet, id)
      // Whoever closes the fleet or removes the worker knows; GET shows how it stands.
      fleet.drain(id, defined(options)).catch(() => {})
      return started(worker)
    },
    'POST /workers/{id}/cordon': (_, id) => ok(workerJson(fleet.cordon(id))),
    'POST /workers/{id}/uncordon': (_, id) => ok(workerJson(fleet.uncordon(id))),
    'DELETE /workers/{id}': ({ url }, id) => {
      const options = parseOptions('remove', removeSchema, Object.fromEntries(url.searchParams))
      const worker = workerOf(fleet, id)
      fleet.remove(id, defined(options)).then(
        report => departures.removed(id, report),
        () => {},
      )
      return started(worker)
    },
    'GET /policy': () => ok(policyJson(router)),
  }

  return async request => {
    const [root, id, action, ...rest] = request.url.pathname.split('/').slice(1)
    const pattern = [root, ...(id === undefined ? [] : ['{id}']), ...(action === undefined ? [] : [action]), ...rest].join('/')
    const route = routes[`${request.method} /${pattern}`]
    if (route !== undefined) return route(request, decodeSegment(id ?? ''))
    throw new KvFleetError('NOT_FOUND', `no route ${request.method} ${request.url.pathname}`)
  }
}

function ok(value: unknown): AdminReply {
  return { status: 200, value }
}

function started(worker: Worker): AdminReply {
  return { status: 202, value: startedJson(worker) }
}

function departed(id: string, departure: object | undefined): AdminReply {
  const { status, body } = errorReply(unknownWorker(id))
  return { status, value: { ...JSON.parse(body), ...(departure === undefined ? {} : { departure }) } }
}

function policyJson({ policy, degradations }: Router): object {
  return {
    name: policy.name,
    filters: policy.filters.map(({ name }) => name),
    scorers: policy.scorers.map(({ scorer, weight }) => ({ name: scorer.name, weight })),
    picker: policy.picker.name,
    degradations,
  }
}

function workerOf(fleet: Fleet, id: string): Worker {
  const worker = fleet.get(id)
  if (worker === undefined) throw unknownWorker(id)
  return worker
}

function unknownWorker(id: string): KvFleetError {
  return new KvFleetError('WORKER_UNKNOWN', `no worker "${id}" is in the fleet`, { details: { field: 'id', workerId: id } })
}

function jsonOf(body: Uint8Array): unknown {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    throw new KvFleetError('REQUEST_INVALID', 'body: expected JSON', { details: { field: 'body', expected: 'JSON' } })
  }
  // A schema of objects takes a list for one without fields.
  if (!Array.isArray(value)) return value
  throw new KvFleetError('OPTION_INVALID', 'body: expected a JSON object, got a list', {
    details: { field: 'body', expected: 'a JSON object' },
  })
}

/** Without the keys whose value is undefined. */
function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}
