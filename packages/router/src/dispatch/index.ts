export { createDispatcher } from './create-dispatcher.js'
export type {
  Dispatcher,
  DispatcherOptions,
  DispatchRequest,
  DispatchResponse,
  HeaderValues,
  Relay,
  ResponseHead,
  ResponseSink,
} from './dispatcher.js'
export { type ErrorReply, errorReply } from './error-reply.js'
export { createFleetFetch, type FleetFetch, type FleetFetchOptions } from './fleet-fetch.js'
