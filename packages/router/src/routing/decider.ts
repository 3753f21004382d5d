import { type CandidateQuery, type Candidates, type Fleet, KvFleetError, type Reason } from '@kvfleet/core'
import type { Decision, Exclusion, Explanation } from '../decision.js'
import type { Candidate, Policy, PolicyContext, PolicyNeed, PrefixOverlap, ScoredCandidate } from '../policy.js'
import type { PrefixIndex } from '../router.js'
import type { RoutingRequest } from '../routing-request.js'
import { type CandidatePool, createCandidatePools } from './candidate-pool.js'
import { EvaluationRecord } from './evaluation-record.js'
import { explain, formatExclusion } from './explanation.js'
import { matchPrefixes, overlapTokens } from './overlaps.js'

/** Candidates → filters → scorers → picker → Decision. Throws ROUTE_NO_WORKER. */
export type Decider = (request: RoutingRequest, policy: Policy, inputs: DeciderInputs) => Decision

export interface DeciderInputs {
  /** undefined: no candidate is known to hold anything. */
  readonly index: PrefixIndex | undefined
  readonly wants: ReadonlySet<PolicyNeed>
  /** Reasons that are known before the decision. */
  readonly reasons: readonly Reason[]
}

const NO_OVERLAP: PrefixOverlap = Object.freeze({ blocks: 0, tokens: 0 })

export function createDecider(fleet: Fleet): Decider {
  const poolOf = createCandidatePools()
  const { clock, random } = fleet
  let sequence = 0

  return (request, policy, { index, wants, reasons: given }) => {
    const decidedAt = clock.now()
    const offered = fleet.candidates(candidateQuery(request))
    const pool = poolOf(poolKey(request), offered.workers)
    const blocks = matchPrefixes(index, request, pool)
    let askedInVain = false
    const overlap = (candidate: Candidate): PrefixOverlap => {
      if (index === undefined) askedInVain = true
      const held = blocks?.[pool.positions.get(candidate) ?? -1]
      if (held === undefined || held === 0) return NO_OVERLAP
      return { blocks: held, tokens: overlapTokens(held, candidate.blockSize, request.promptTokens) }
    }
    const context: PolicyContext = { clock, random, sequence, overlap }

    const filtered: Exclusion[] = []
    const kept = applyFilters(request, pool, policy, context, filtered)
    if (kept.length === 0) throw noWorker(request, exclusions(offered, filtered))

    const record = new EvaluationRecord(kept, policy.scorers)
    for (let position = 0; position < kept.length; position++) {
      const candidate = kept[position] as Candidate
      record.capture(position, candidate, index === undefined ? NO_OVERLAP : overlap(candidate))
    }
    applyScorers(request, kept, policy, context, record)
    const picked = pick(record, policy, context)
    const cachedTokens = record.tokens(picked)

    const reasons = [...given]
    if (wants.has('engine-load') && record.loads.every(load => load === undefined)) reasons.push({ code: 'no-engine-load' })
    if (askedInVain && !given.some(({ code }) => code === 'no-kv-events')) reasons.push({ code: 'no-kv-events' })
    if (offered.panic) reasons.push({ code: 'panic', values: { workers: offered.workers.length } })
    if (kept.length === 1) reasons.push({ code: 'single-candidate' })
    if (cachedTokens > 0) reasons.push({ code: 'prefix-overlap', values: { cachedTokens, promptTokens: request.promptTokens } })

    const chosen = kept[picked] as Candidate
    const explained = { policy, request, record, picked, reasons, clock, decidedAt, sequence }
    let explanation: Explanation | undefined
    sequence++
    return {
      requestId: request.id,
      policy: policy.name,
      worker: chosen.worker,
      rank: chosen.rank,
      promptTokens: request.promptTokens,
      cachedTokens,
      reasons,
      decidedAt,
      explain() {
        explanation ??= explain({ ...explained, excluded: exclusions(offered, filtered) })
        return explanation
      },
    }
  }
}

function candidateQuery({ role, model }: RoutingRequest): CandidateQuery {
  return model === undefined ? { role } : { role, model }
}

function poolKey({ role, model }: RoutingRequest): string {
  return model === undefined ? role : `${role}/${model}`
}

function applyFilters(
  request: RoutingRequest,
  pool: CandidatePool,
  { filters }: Policy,
  context: PolicyContext,
  excluded: Exclusion[],
): readonly Candidate[] {
  const { excludedWorkers } = request
  if (filters.length === 0 && excludedWorkers.length === 0) return pool.candidates
  return pool.candidates.filter(candidate => {
    if (excludedWorkers.includes(candidate.id)) {
      excluded.push({ workerId: candidate.id, by: 'request', reason: 'excluded' })
      return false
    }
    for (const filter of filters) {
      const reason = filter.exclude(request, candidate, context)
      if (reason === undefined) continue
      excluded.push({ workerId: candidate.id, by: filter.name, reason })
      return false
    }
    return true
  })
}

function applyScorers(
  request: RoutingRequest,
  candidates: readonly Candidate[],
  { scorers }: Policy,
  context: PolicyContext,
  record: EvaluationRecord,
): void {
  for (let index = 0; index < scorers.length; index++) {
    const { scorer, weight } = scorers[index] as Policy['scorers'][number]
    for (let position = 0; position < candidates.length; position++) {
      record.setScore(position, index, clampScore(scorer.score(request, candidates[position] as Candidate, context)), weight)
    }
  }
}

function clampScore(score: number): number {
  return score > 0 ? Math.min(1, score) : 0
}

function pick(record: EvaluationRecord, { picker }: Policy, context: PolicyContext): number {
  const scored = record.scored()
  const picked = picker.pick(scored, context)
  const position = (scored as readonly ScoredCandidate[]).indexOf(picked)
  if (position >= 0) return position
  throw new KvFleetError(
    'OPTION_INVALID',
    `policy: picker "${picker.name}" returned something that is not one of the ${scored.length} it was given`,
    {
      details: { picker: picker.name },
    },
  )
}

function exclusions({ excluded }: Candidates, filtered: readonly Exclusion[]): readonly Exclusion[] {
  return [...excluded.map(({ worker, reason }): Exclusion => ({ workerId: worker.id, by: 'fleet', reason })), ...filtered]
}

/** A message names this many workers; the details name all. */
const NAMED_IN_MESSAGE = 8

function noWorker({ id, model, role }: RoutingRequest, excluded: readonly Exclusion[]): KvFleetError {
  const named = excluded.slice(0, NAMED_IN_MESSAGE).map(formatExclusion)
  if (excluded.length > named.length) named.push(`${excluded.length - named.length} more`)
  const why = excluded.length === 0 ? 'the fleet has no workers' : `excluded: ${named.join(', ')}`
  const wanted = `${role} worker${model === undefined ? '' : ` for model "${model}"`}`
  return new KvFleetError('ROUTE_NO_WORKER', `router: no ${wanted}; ${why}`, {
    details: { requestId: id, role, model: model ?? null, excluded },
    retryable: true,
  })
}
