import { abortable, errorMessage, KvFleetError } from '@kvfleet/core'
import type { Router } from '../router.js'
import { streamedResponse } from './body-stream.js'
import { createDispatcher } from './create-dispatcher.js'
import type { DispatcherOptions, DispatchRequest, ResponseHead, ResponseSink } from './dispatcher.js'
import { errorReply } from './error-reply.js'

export type FleetFetchOptions = Omit<DispatcherOptions, 'router'>

export interface FleetFetch extends AsyncDisposable {
  (input: string | URL | Request, init?: RequestInit): Promise<Response>
  /** Aborts what is under way and closes the connections; router and fleet stay open. */
  close(): Promise<void>
}

/** Statuses whose responses have no body, by the Fetch standard. */
const WITHOUT_BODY = new Set([204, 205, 304])

/**
 * A `fetch` that asks the fleet, for any client that takes one: the URL's path counts, its host does not. Like every fetch
 * it rejects only for the caller's abort or bad arguments; whatever else goes wrong is a response in OpenAI's error shape, with
 * `retry-after` where asking again may help.
 */
export function createFleetFetch(router: Router, options: FleetFetchOptions = {}): FleetFetch {
  const dispatcher = createDispatcher({ ...options, router })

  const fleetFetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const signal = init.signal ?? (input instanceof Request ? input.signal : undefined)
    signal?.throwIfAborted()
    const request = await dispatchRequest(new Request(input, init), signal)
    try {
      const begin = (sink: ResponseSink) => dispatcher.relay(request, sink)
      const { status, headers, body } = await streamedResponse(begin, error => (signal?.aborted ? signal.reason : error))
      try {
        return new Response(WITHOUT_BODY.has(status) ? null : body, { status, headers: headerPairs(headers) })
      } catch (cause) {
        // Nobody will read it: without this the engine's work would go on.
        await body.cancel().catch(() => {})
        const message = `the engine's response (status ${status}) fits no Response of the Fetch standard: ${errorMessage(cause)}`
        throw new KvFleetError('ENGINE_RESPONSE', message, { cause })
      }
    } catch (error) {
      signal?.throwIfAborted()
      const reply = errorReply(error)
      return new Response(reply.body, reply)
    }
  }
  const close = () => dispatcher.close()
  return Object.assign(fleetFetch, { close, [Symbol.asyncDispose]: close })
}

async function dispatchRequest(request: Request, signal: AbortSignal | undefined): Promise<DispatchRequest> {
  const { pathname, search } = new URL(request.url)
  return {
    method: request.method,
    path: pathname + search,
    headers: Object.fromEntries(request.headers),
    // A body's source may never answer, and does not hear of the caller's abort.
    ...(request.body === null ? {} : { body: new Uint8Array(await abortable(request.arrayBuffer(), signal)) }),
    ...(signal === undefined ? {} : { signal }),
  }
}

function headerPairs(headers: ResponseHead['headers']): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one): [string, string] => [name, one]))
}
