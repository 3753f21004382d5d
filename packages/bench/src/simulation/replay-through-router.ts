import { errorMessage, KvFleetError } from '@kvfleet/core'
import type { SimulatedEngine } from '@kvfleet/core/simulated-engine/model'
import type { VirtualClock } from '@kvfleet/core/virtual-time'
import { type Router, routingRequest } from '@kvfleet/router'
import type { RequestRecord } from '../metrics/request-record.js'
import type { CountedGaps } from '../metrics/summarize.js'
import type { TraceBlockHashes } from '../workload/prompt-tokens.js'
import type { Trace, TraceRequest } from '../workload/trace.js'
import { TokenGaps } from './token-gaps.js'

export interface ReplayContext {
  readonly router: Router
  readonly engines: ReadonlyMap<string, SimulatedEngine>
  readonly clock: VirtualClock
}

export interface ReplayedTrace {
  readonly gaps: CountedGaps
  /** In the trace's order; call it when the clock is idle. */
  records(): readonly RequestRecord[]
}

const NO_CHUNK_TIMES = new Float64Array(0)
const NO_CHUNK_TOKENS = new Uint16Array(0)

/** Schedules the trace's requests, each decided, reserved and submitted at its arrival. */
export function replayThroughRouter(trace: Trace, hashes: TraceBlockHashes, { router, engines, clock }: ReplayContext): ReplayedTrace {
  const startedAt = clock.now()
  const gaps = new TokenGaps(trace.requests.length)
  const records: (RequestRecord | undefined)[] = new Array(trace.requests.length)
  const sinceStart = (at: number) => at - startedAt

  const record = (request: TraceRequest, rest: Partial<RequestRecord>): void => {
    const { index, arrivalMs, promptTokens } = request
    records[index] = {
      index,
      intendedAt: arrivalMs,
      sentAt: arrivalMs,
      firstTokenAt: undefined,
      endedAt: sinceStart(clock.now()),
      promptTokens,
      cachedTokens: undefined,
      outputTokens: 0,
      chunkAt: NO_CHUNK_TIMES,
      chunkTokens: NO_CHUNK_TOKENS,
      workerId: undefined,
      outcome: 'completed',
      error: undefined,
      ...rest,
    }
  }

  const send = (request: TraceRequest): void => {
    const blockHashes = hashes.hashes(request.index)
    const routed = routingRequest({
      id: `r${request.index}`,
      blockHashes: { blockSize: hashes.blockSize, hashes: blockHashes },
      promptTokens: request.promptTokens,
      maxOutputTokens: request.outputTokens,
    })
    const decision = router.decide(routed)
    const workerId = decision.worker.id
    const engine = engines.get(workerId)
    if (engine === undefined) throw new KvFleetError('INTERNAL', `simulate: worker ${workerId} has no engine`)
    const lease = router.reserve(decision, routed)
    let first = true
    const abort = engine.submit(
      { id: routed.id, prompt: { length: request.promptTokens, blockHashes }, maxTokens: request.outputTokens },
      {
        onTokens(run) {
          if (first) lease.firstToken()
          first = false
          gaps.add(request.index, run)
        },
        onEnd({ finish, cachedTokens, outputTokens, firstTokenAt, endedAt }) {
          const completed = finish === 'length'
          lease.end(completed ? 'completed' : 'failed')
          record(request, {
            workerId,
            firstTokenAt: firstTokenAt === undefined ? undefined : sinceStart(firstTokenAt),
            endedAt: sinceStart(endedAt),
            cachedTokens,
            outputTokens,
            ...(!completed && { outcome: 'failed', error: finish }),
          })
        },
      },
    )
    lease.signal.addEventListener('abort', abort, { once: true })
  }

  /** One call ahead in the clock's queue instead of one per request. */
  const scheduleNext = (position: number): void => {
    const request = trace.requests[position]
    if (request === undefined) return
    clock.schedule(startedAt + request.arrivalMs - clock.now(), () => {
      scheduleNext(position + 1)
      try {
        send(request)
      } catch (error) {
        // No worker is a failed request, as it would be for a client; anything else is a fault of the simulation.
        if (!KvFleetError.is(error, 'ROUTE_NO_WORKER')) throw error
        record(request, { outcome: 'failed', error: errorMessage(error) })
      }
    })
  }
  scheduleNext(0)

  return {
    gaps,
    records: () =>
      records.map((entry, index) => {
        if (entry === undefined) throw new KvFleetError('INTERNAL', `simulate: request ${index} has not ended`)
        return entry
      }),
  }
}
