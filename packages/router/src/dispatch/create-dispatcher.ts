import { KvFleetError, parseOptions, toKvFleetError } from '@kvfleet/core'
import * as v from 'valibot'
import type { Router } from '../router.js'
import { streamedResponse } from './body-stream.js'
import { dispatchDefaults } from './defaults.js'
import type { Dispatcher, DispatcherOptions, DispatchRequest, Relay, ResponseSink } from './dispatcher.js'
import { Exchange, type ExchangeContext } from './exchange.js'
import { REQUEST_ID_HEADER } from './headers.js'
import { modelsReply } from './models.js'
import { requestIds } from './request-id.js'
import { pathname } from './request-path.js'
import { Sender } from './sender.js'

const timeout = v.pipe(v.number(), v.finite('expected a finite number'), v.gtValue(0, 'expected more than 0'))
const schema = v.strictObject({
  router: v.pipe(
    v.unknown(),
    v.check(value => isRouter(value), 'expected a Router (createRouter)'),
  ),
  retries: v.optional(v.pipe(v.number(), v.integer('expected an integer'), v.minValue(0, 'expected 0 or more')), dispatchDefaults.retries),
  connectTimeoutMs: v.optional(timeout, dispatchDefaults.connectTimeoutMs),
  headersTimeoutMs: v.optional(timeout, dispatchDefaults.headersTimeoutMs),
  bodyTimeoutMs: v.optional(timeout, dispatchDefaults.bodyTimeoutMs),
})

/** Sends what the router decides. Connections are kept alive and belong to the dispatcher. Throws OPTION_INVALID. */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { router: _, retries, ...timeouts } = parseOptions('createDispatcher', schema, options)
  const { router } = options
  const { fleet } = router
  const sender = new Sender(router, { ...timeouts, keepAliveMs: dispatchDefaults.keepAliveMs })
  const requestId = requestIds(fleet.random)
  const underWay = new Set<Exchange>()
  let closing: Promise<void> | undefined
  const closed = () => new KvFleetError('CLOSED', 'the dispatcher is closed', { retryable: true })
  const context: ExchangeContext = {
    router,
    retries,
    bodyTimeoutMs: timeouts.bodyTimeoutMs,
    send: (...args) => sender.send(...args),
    over: exchange => {
      underWay.delete(exchange)
    },
  }

  const relay = (request: DispatchRequest, sink: ResponseSink): Relay => {
    const local = request.method === 'GET' ? answeredHere(request, sink) : undefined
    if (local !== undefined) return local
    const exchange = new Exchange(requestId(request.headers), request, sink, context)
    if (closing !== undefined) {
      exchange.abort(closed())
      return exchange
    }
    underWay.add(exchange)
    exchange.start()
    return exchange
  }

  /** What the fleet knows without asking an engine. */
  const answeredHere = (request: DispatchRequest, sink: ResponseSink): Relay | undefined => {
    const id = requestId(request.headers)
    try {
      const reply = modelsReply(fleet, pathname(request.path))
      if (reply === undefined) return undefined
      sink.start({ status: 200, headers: { 'content-type': 'application/json', [REQUEST_ID_HEADER]: id }, decision: undefined })
      sink.write(Buffer.from(JSON.stringify(reply)))
      sink.end()
    } catch (error) {
      sink.fail(toKvFleetError(error, 'INTERNAL', 'dispatch'))
    }
    return { requestId: id, resume() {}, cancel() {}, abort() {} }
  }

  const dispatcher: Dispatcher = {
    router,
    relay,
    dispatch: request => streamedResponse(sink => relay(request, sink)),
    close() {
      closing ??= (async () => {
        for (const exchange of [...underWay]) exchange.abort(closed())
        await sender.close()
      })()
      return closing
    },
    [Symbol.asyncDispose]: () => dispatcher.close(),
  }
  return dispatcher
}

function isRouter(value: unknown): boolean {
  const router = value as Partial<Router> | null | undefined
  return typeof router === 'object' && router !== null && typeof router.decide === 'function' && typeof router.reserve === 'function'
}
