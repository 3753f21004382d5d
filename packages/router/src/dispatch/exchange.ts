import { errorMessage, type Fleet, KvFleetError, type LeaseOutcome, publish, type ScheduledCall, toKvFleetError } from '@kvfleet/core'
import type { Decision } from '../decision.js'
import type { Router } from '../router.js'
import { policyWants } from '../routing/degradations.js'
import type { RoutingRequest } from '../routing-request.js'
import { type Attempt, type AttemptFailure, type AttemptListener, isReset, isTimeout, isUnsendable } from './attempt.js'
import type { DispatchRequest, HeaderValues, Relay, ResponseSink } from './dispatcher.js'
import { errorEvent, statusOf } from './error-reply.js'
import { downstreamHeaders, isEventStream, REQUEST_ID_HEADER, WORKER_HEADER } from './headers.js'
import { isModelUnknown, modelUnknown } from './models.js'
import { routingInput } from './routing-input.js'
import { WholeEvents } from './whole-events.js'

export interface ExchangeContext {
  readonly router: Router
  readonly retries: number
  /** Longest pause that the client may ask for, on the fleet's clock: the HTTP client's own timeout rests while paused. */
  readonly bodyTimeoutMs: number
  /** Reserves a place and sends; what happens then is told to the exchange. */
  send(exchange: Exchange, request: DispatchRequest, decision: Decision, routing: RoutingRequest): Attempt
  over(exchange: Exchange): void
}

/** An engine, or a proxy before it, that cannot take the request now. */
const RETRIED_STATUS = new Set([502, 503, 504])

/** One client request on its way: prepared once, decided and tried until a worker answers, relayed to its end. */
export class Exchange implements Relay, AttemptListener {
  readonly requestId: string
  readonly #context: ExchangeContext
  readonly #fleet: Fleet
  readonly #request: DispatchRequest
  readonly #sink: ResponseSink
  readonly #startedAt: number
  readonly #tried: { readonly workerId: string; readonly reason: string }[] = []
  #preparing: AbortController | undefined
  #routing: RoutingRequest | undefined
  #decision: Decision | undefined
  #attempt: Attempt | undefined
  /** 0 until the client has a head. */
  #status = 0
  #events: WholeEvents | undefined
  #ttftMs: number | undefined
  /** Ends a pause that the client does not; undefined while nothing is paused. */
  #pauseLimit: ScheduledCall | undefined
  #over = false

  constructor(requestId: string, request: DispatchRequest, sink: ResponseSink, context: ExchangeContext) {
    this.requestId = requestId
    this.#context = context
    this.#fleet = context.router.fleet
    this.#request = request
    this.#sink = sink
    this.#startedAt = this.#fleet.clock.now()
  }

  start(): void {
    const { signal } = this.#request
    signal?.addEventListener('abort', this.#onSignal, { once: true })
    this.#prepare().then(
      routing => {
        this.#routing = routing
        if (!this.#over) this.#guarded(() => this.#send(this.#decide([])))
      },
      error => this.#fail(error),
    )
    if (signal?.aborted) this.#onSignal()
  }

  resume(): void {
    this.#clearPauseLimit()
    this.#attempt?.resume()
  }

  cancel(): void {
    if (this.#over) return
    this.#stop('cancelled')
    this.#finish('cancelled')
  }

  abort(error: KvFleetError): void {
    if (this.#over) return
    this.#stop('aborted')
    this.#breakOff(error, 'aborted')
  }

  head(attempt: Attempt, status: number, headers: HeaderValues): void {
    this.#guarded(() => {
      const next = RETRIED_STATUS.has(status) ? this.#decideElsewhere(attempt, String(status)) : undefined
      if (next !== undefined) {
        attempt.giveUp()
        attempt.lease.end('failed')
        return this.#send(next)
      }
      this.#status = status
      if (isEventStream(headers)) this.#events = new WholeEvents()
      const passedOn = downstreamHeaders(headers)
      passedOn[REQUEST_ID_HEADER] = this.requestId
      passedOn[WORKER_HEADER] = attempt.lease.worker.id
      this.#sink.start({ status, headers: passedOn, decision: this.#decision })
    })
  }

  data(attempt: Attempt, chunk: Uint8Array): void {
    if (this.#ttftMs === undefined && this.#status < 300) {
      attempt.lease.firstToken()
      this.#ttftMs = this.#elapsedMs()
    }
    const bytes = this.#events === undefined ? chunk : this.#events.push(chunk)
    if (bytes !== undefined && !this.#sink.write(bytes)) this.#pause(attempt)
  }

  ended(attempt: Attempt): void {
    const outcome = this.#status >= 500 ? 'failed' : 'completed'
    attempt.lease.end(outcome)
    const rest = this.#events?.rest()
    if (rest !== undefined) this.#sink.write(rest)
    this.#sink.end()
    this.#finish(outcome)
  }

  failed(attempt: Attempt, failure: AttemptFailure): void {
    attempt.lease.end(isUnsendable(failure) ? 'cancelled' : 'failed')
    this.#guarded(() => {
      const next = this.#status === 0 && !isUnsendable(failure) ? this.#decideElsewhere(attempt, failure.code, failure) : undefined
      if (next === undefined) this.#fail(this.#failureError(attempt, failure))
      else this.#send(next)
    })
  }

  /** The fleet ended the lease: before the first byte another worker may do it. */
  leaseAborted(attempt: Attempt): void {
    if (attempt.over) return
    attempt.giveUp()
    const reason = toKvFleetError(attempt.lease.signal.reason, 'INTERNAL', 'lease')
    this.#guarded(() => {
      const next = this.#status === 0 ? this.#decideElsewhere(attempt, reason.code) : undefined
      if (next === undefined) this.#breakOff(reason, 'aborted')
      else this.#send(next)
    })
  }

  readonly #onSignal = (): void => {
    if (this.#over) return
    this.#stop('cancelled')
    this.#sink.fail(new KvFleetError('ABORTED', 'the client aborted the request', { cause: this.#request.signal?.reason }))
    this.#finish('cancelled')
  }

  async #prepare(): Promise<RoutingRequest> {
    const { router } = this.#context
    const { request, prompt } = routingInput(this.requestId, this.#request)
    // A signal costs more than all the rest here: only where something is waited for.
    if (prompt === undefined || prompt.kind === 'tokens' || !policyWants(router.policy).has('tokens'))
      return router.prepare(request, prompt)
    this.#preparing = new AbortController()
    return router.prepare(request, prompt, { signal: this.#preparing.signal })
  }

  #decide(excludedWorkers: readonly string[]): Decision {
    const routing = this.#routing as RoutingRequest
    return this.#context.router.decide(excludedWorkers.length === 0 ? routing : { ...routing, excludedWorkers })
  }

  #send(decision: Decision): void {
    this.#decision = decision
    const attempt = this.#context.send(this, this.#request, decision, this.#routing as RoutingRequest)
    this.#attempt = attempt
    // Who heard that the lease was taken may have removed the worker: nobody will tell of the lease's end again.
    if (attempt.lease.ended) this.leaseAborted(attempt)
  }

  /** Who else could take the request; undefined when nobody can or there were enough tries. */
  #decideElsewhere({ lease }: Attempt, reason: string, failure?: AttemptFailure): Decision | undefined {
    this.#tried.push({ workerId: lease.worker.id, reason })
    if (this.#tried.length > this.#context.retries || (failure !== undefined && isTimeout(failure))) return undefined
    const elsewhere = this.#tryToDecide(this.#tried.map(({ workerId }) => workerId))
    return elsewhere ?? (failure !== undefined && isReset(failure) ? this.#tryToDecide([]) : undefined)
  }

  #tryToDecide(excludedWorkers: readonly string[]): Decision | undefined {
    try {
      return this.#decide(excludedWorkers)
    } catch (error) {
      if (KvFleetError.is(error, 'ROUTE_NO_WORKER')) return undefined
      throw error
    }
  }

  #pause(attempt: Attempt): void {
    // The sink may have left while it was written to.
    if (this.#over) return
    attempt.pause()
    this.#pauseLimit ??= this.#fleet.clock.schedule(this.#context.bodyTimeoutMs, () => this.#onUnread(attempt), { background: true })
  }

  #onUnread({ lease }: Attempt): void {
    this.#pauseLimit = undefined
    if (this.#over) return
    const { requestId } = this
    const { bodyTimeoutMs } = this.#context
    this.#stop('cancelled')
    const message = `the client read nothing of its response for ${bodyTimeoutMs} ms (bodyTimeoutMs)`
    this.#breakOff(new KvFleetError('ABORTED', message, { details: { requestId, workerId: lease.worker.id } }), 'cancelled')
  }

  #clearPauseLimit(): void {
    this.#pauseLimit?.cancel()
    this.#pauseLimit = undefined
  }

  #failureError({ lease }: Attempt, failure: AttemptFailure): KvFleetError {
    const { code, cause } = failure
    const { requestId } = this
    const { id: workerId } = lease.worker
    if (isUnsendable(failure))
      return new KvFleetError('REQUEST_INVALID', `the request cannot be sent on: ${errorMessage(cause)}`, { cause })
    if (this.#status !== 0) {
      const details = { requestId, workerId, reason: code }
      return new KvFleetError('STREAM_INTERRUPTED', `worker "${workerId}" broke off its response (${code})`, {
        details,
        cause,
        retryable: true,
      })
    }
    const tried = this.#tried.map(({ workerId, reason }) => `${workerId} (${reason})`).join(', ')
    return new KvFleetError('DISPATCH_FAILED', `no worker answered; tried ${tried}`, {
      details: { requestId, tried: this.#tried },
      cause,
      retryable: true,
    })
  }

  /** For calls from sockets and timers, where nobody would catch. */
  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#stop('failed')
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (this.#over) return
    const unknown = isModelUnknown(this.#fleet, this.#routing, error)
    this.#breakOff(unknown ? modelUnknown(this.#routing?.model) : toKvFleetError(error, 'INTERNAL', 'dispatch'), 'failed')
  }

  #breakOff(error: KvFleetError, outcome: LeaseOutcome): void {
    if (this.#events !== undefined) {
      this.#sink.write(Buffer.from(errorEvent(error)))
      this.#sink.end()
    } else {
      if (this.#status === 0) this.#status = statusOf(error)
      this.#sink.fail(error)
    }
    this.#finish(outcome)
  }

  #stop(outcome: LeaseOutcome): void {
    this.#preparing?.abort()
    this.#attempt?.giveUp()
    this.#attempt?.lease.end(outcome)
  }

  #finish(outcome: LeaseOutcome): void {
    this.#over = true
    this.#clearPauseLimit()
    this.#request.signal?.removeEventListener('abort', this.#onSignal)
    this.#context.over(this)
    publish('kvfleet:request', () => ({
      fleet: this.#fleet,
      requestId: this.requestId,
      workerId: this.#decision?.worker.id,
      status: this.#status,
      outcome,
      ttftMs: this.#ttftMs,
      totalMs: this.#elapsedMs(),
    }))
  }

  #elapsedMs(): number {
    return this.#fleet.clock.now() - this.#startedAt
  }
}
