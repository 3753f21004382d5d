import type { IncomingMessage, ServerResponse } from 'node:http'
import { isEligible, KvFleetError, parseOptions, toKvFleetError } from '@kvfleet/core'
import type { Metrics } from '@kvfleet/core/prometheus'
import { createDispatcher } from '../dispatch/create-dispatcher.js'
import type { Relay } from '../dispatch/dispatcher.js'
import { pathname } from '../dispatch/request-path.js'
import { createAdmin } from './admin/create-admin.js'
import type { Gateway, GatewayOptions } from './gateway.js'
import { HttpListener } from './http-listener.js'
import { loadMetrics, sendMetrics } from './metrics-route.js'
import { closeSchema, gatewaySchema, listenSchema } from './options.js'
import { readBody } from './read-body.js'
import { ResponseWriter, sendError, sendJson } from './response-writer.js'

/** An OpenAI-compatible HTTP server over a router's fleet. Throws OPTION_INVALID. */
export function createGateway(options: GatewayOptions): Gateway {
  const { maxBodyBytes, admin: adminAddress } = parseOptions('createGateway', gatewaySchema, options)
  const { router } = options
  const dispatcher = createDispatcher({ ...options.dispatch, router })
  const { fleet } = router
  const underWay = new Set<Relay>()
  const admin = adminAddress === undefined ? undefined : createAdmin({ router })
  let metrics: Metrics | undefined
  let ownsMetrics = false

  const relayRequest = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request, maxBodyBytes)
    if (listener.closing) response.setHeader('connection', 'close')
    const { method = 'GET', url: path = '/', headers } = request
    const writer = new ResponseWriter(response)
    const relay = dispatcher.relay({ method, path, headers, ...(body.length === 0 ? {} : { body }) }, writer)
    writer.requestId = relay.requestId
    underWay.add(relay)
    response.on('drain', () => relay.resume())
    // A pipelined response that waits for its turn has no socket yet, and no `close` of its own when the client leaves.
    const { socket } = request
    const onGone = () => relay.cancel()
    socket.once('close', onGone)
    response.on('close', () => {
      socket.off('close', onGone)
      underWay.delete(relay)
      if (!response.writableFinished) relay.cancel()
    })
  }

  const localRoutes: Readonly<Record<string, (response: ServerResponse) => void | Promise<void>>> = {
    '/healthz': response => sendJson(response, 200, { status: 'ok' }),
    '/readyz': response => {
      const ready = !listener.closing && fleet.list().some(isEligible)
      sendJson(response, ready ? 200 : 503, { status: ready ? 'ready' : listener.closing ? 'closing' : 'no-worker' })
    },
    '/metrics': response => sendMetrics(response, metrics),
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = pathname(request.url ?? '/')
    if (isRelayed(path)) return relayRequest(request, response)
    const route = request.method === 'GET' || request.method === 'HEAD' ? localRoutes[path] : undefined
    if (route === undefined) throw new KvFleetError('NOT_FOUND', `no route ${request.method} ${path}`)
    return route(response)
  }

  const listener = new HttpListener(
    'gateway',
    fleet.clock,
    (request, response) => {
      handle(request, response).catch(error => sendError(response, toKvFleetError(error, 'INTERNAL', 'gateway')))
    },
    () => {
      const closing = new KvFleetError('CLOSED', 'the gateway closes', { retryable: true })
      for (const relay of [...underWay]) relay.abort(closing)
    },
  )

  const gateway: Gateway = {
    async listen(address) {
      const parsed = parseOptions('gateway.listen', listenSchema, address)
      const first = listener.url === undefined
      if (options.metrics === undefined && metrics === undefined) {
        metrics = await loadMetrics(fleet)
        ownsMetrics = true
      } else if (options.metrics !== false) metrics ??= options.metrics
      try {
        await listener.listen(parsed)
        if (adminAddress !== undefined) await admin?.listen(adminAddress)
      } catch (error) {
        if (first) await gateway.close()
        throw error
      }
      return gateway
    },
    get url() {
      return listener.url
    },
    get adminUrl() {
      return admin?.url
    },
    async close(closeOptions) {
      const { graceMs } = parseOptions('gateway.close', closeSchema, closeOptions)
      await listener.close(graceMs === undefined ? {} : { graceMs })
      await Promise.all([dispatcher.close(), admin?.close()])
      if (ownsMetrics) metrics?.close()
    },
    [Symbol.asyncDispose]: () => gateway.close(),
  }
  return gateway
}

/** What engines answer; everything else is the gateway's own or nobody's. */
function isRelayed(path: string): boolean {
  return (path.startsWith('/v1/') && !DOT_SEGMENT.test(path)) || path === '/tokenize' || path === '/detokenize'
}

/** `/v1/../x` is another path to whoever resolves it: a way round to an engine's own admin routes. */
const DOT_SEGMENT = /\/(\.|%2e){1,2}(\/|$)/i
