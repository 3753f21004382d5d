/** Every stable error code with its meaning; `docs/errors.md` is generated from this table. */
export const errorCodes = {
  OPTION_INVALID: 'An option, a file or a request body does not fit its schema.',
  ABORTED: 'The caller aborted the operation through its signal.',
  CLOSED: 'The object was closed before or during the call.',
  WORKER_EXISTS: 'A worker with this id is already in the fleet.',
  WORKER_UNKNOWN: 'No worker with this id is in the fleet.',
  WORKER_PHASE: 'The worker is in a phase in which this operation is not possible.',
  WORKER_JOIN_TIMEOUT: 'The worker did not become ready before joinTimeoutMs.',
  WORKER_REMOVED: 'The worker was removed while the operation ran.',
  WORKER_HOOK_FAILED: 'A beforeReady or afterDrained hook threw or passed its deadline.',
  DRAIN_DEADLINE: 'A drain passed its deadline and ended what was in flight.',
  ENGINE_UNREACHABLE: 'An engine did not answer: connection refused, reset or timed out.',
  ENGINE_RESPONSE: 'An engine answered with a status or body that does not fit its protocol.',
  KV_EVENT_MALFORMED: 'A KV event frame could not be decoded; that frame is dropped.',
  ROUTE_NO_WORKER: 'No worker is eligible for this request; details name why each was excluded.',
  ROUTE_NEEDS_MISSING: 'A policy needs an input that this fleet or router does not provide.',
  DISPATCH_FAILED: 'No worker completed the request.',
  STREAM_INTERRUPTED: 'A worker broke off after part of the response had been sent.',
  SHELL_UNREACHABLE: 'A machine or a program on it could not be reached by the remote shell.',
  REQUEST_INVALID: 'A client request is malformed.',
  NOT_FOUND: 'No such route or resource.',
  LISTEN_FAILED: 'A server could not listen on its address.',
  FILE_INVALID: 'A file cannot be read, or a line of it does not fit its format.',
  DEPENDENCY_MISSING: 'An optional peer dependency is not installed.',
  INTERNAL: 'An invariant of the library was broken; this is a bug.',
} as const

export type ErrorCode = keyof typeof errorCodes
