import { type Clock, formatReason, type InFlight, type Reason } from '@kvfleet/core'
import type { Evaluation, Exclusion, Explanation } from '../decision.js'
import type { Candidate, Policy, PolicyContext } from '../policy.js'
import type { RoutingRequest } from '../routing-request.js'
import type { CapturedRow, EvaluationRecord } from './evaluation-record.js'

interface ExplanationInput {
  readonly policy: Policy
  readonly request: RoutingRequest
  readonly record: EvaluationRecord
  /** Position of the chosen candidate. */
  readonly picked: number
  readonly excluded: readonly Exclusion[]
  readonly reasons: readonly Reason[]
  readonly clock: Clock
  readonly decidedAt: number
  readonly sequence: number
}

/** Builds the objects of an explanation from the numbers that the decision kept. */
export function explain(input: ExplanationInput): Explanation {
  const { policy, request, record, excluded, reasons } = input
  const rows = record.candidates.map((candidate, position) => ({ row: record.row(position), frozen: freeze(candidate, record, position) }))
  const context = frozenContext(input, new Map(rows.map(({ frozen, row }) => [frozen, row])))
  const evaluations = rows.map(({ row, frozen }, position): Evaluation => {
    const details = policy.scorers.flatMap(({ scorer }) => {
      const detail = scorer.detail?.(request, frozen, context)
      return detail === undefined ? [] : [[scorer.name, detail] as const]
    })
    return {
      workerId: frozen.id,
      rank: frozen.rank,
      cachedTokens: row.tokens,
      waitingPrefillTokens: row.waitingPrefillTokens,
      requests: row.requests,
      scores: record.scores(position),
      details: Object.fromEntries(details),
      total: row.total,
      picked: position === input.picked,
    }
  })
  const weights = Object.fromEntries(policy.scorers.map(({ scorer, weight }) => [scorer.name, weight]))
  return {
    policy: policy.name,
    weights,
    evaluations,
    excluded,
    reasons,
    toString: () => explanationText({ policy: policy.name, weights, evaluations, excluded, reasons }),
  }
}

/** The candidate as it was: scorers compute their details from it as they computed the score. */
function freeze(candidate: Candidate, record: EvaluationRecord, position: number): Candidate {
  const { requests, waitingRequests, waitingPrefillTokens, kvTokens } = record.row(position)
  const inFlight: InFlight = { requests, waitingRequests, waitingPrefillTokens, kvTokens }
  const { worker, rank, id, readyAt, blockSize, labels, profile } = candidate
  return { worker, rank, id, readyAt, blockSize, labels, profile, inFlight, load: record.loads[position] }
}

function frozenContext({ clock, decidedAt, sequence }: ExplanationInput, rows: ReadonlyMap<Candidate, CapturedRow>): PolicyContext {
  return {
    clock: { now: () => decidedAt, schedule: clock.schedule },
    // Details are arithmetic on what was seen; chance that was drawn cannot be drawn again.
    random: { next: () => 0 },
    sequence,
    overlap: candidate => {
      const row = rows.get(candidate)
      return { blocks: row?.blocks ?? 0, tokens: row?.tokens ?? 0 }
    },
  }
}

type ExplanationData = Omit<Explanation, 'toString'>

/** An aligned table, one candidate a line, the chosen one marked. */
function explanationText({ policy, weights, evaluations, excluded, reasons }: ExplanationData): string {
  const scorers = Object.keys(weights)
  const ranks = evaluations.some(({ rank }) => rank > 0)
  const details = detailColumns(evaluations)
  const header = [
    '',
    'worker',
    'cached',
    'waiting',
    'requests',
    ...details.map(({ name }) => name),
    ...scorers.map(name => (weights[name] === 1 ? name : `${weights[name]}×${name}`)),
    'total',
  ]
  const lines = evaluations.map(evaluation => [
    evaluation.picked ? '→' : '',
    ranks ? `${evaluation.workerId}/${evaluation.rank}` : evaluation.workerId,
    formatNumber(evaluation.cachedTokens),
    formatNumber(evaluation.waitingPrefillTokens),
    formatNumber(evaluation.requests),
    ...details.map(({ scorer, name }) => formatNumber(evaluation.details[scorer]?.[name])),
    ...scorers.map(name => formatScore(evaluation.scores[name])),
    formatScore(evaluation.total),
  ])
  const text = [`policy ${policy}`, ...align([header, ...lines])]
  if (excluded.length > 0) text.push(`excluded: ${excluded.map(formatExclusion).join(', ')}`)
  if (reasons.length > 0) text.push(`reasons: ${reasons.map(formatReason).join(', ')}`)
  return text.join('\n')
}

/** Details that the table has no column for already. */
function detailColumns(evaluations: readonly Evaluation[]): { scorer: string; name: string }[] {
  const shown = new Set(['cachedTokens', 'waitingPrefillTokens', 'requests'])
  return Object.entries(evaluations[0]?.details ?? {}).flatMap(([scorer, detail]) =>
    Object.keys(detail)
      .filter(name => !shown.has(name))
      .map(name => ({ scorer, name })),
  )
}

export function formatExclusion({ workerId, by, reason }: Exclusion): string {
  return by === 'fleet' ? `${workerId} (${reason})` : `${workerId} (${by}: ${reason})`
}

function formatScore(value: number | undefined): string {
  return value === undefined ? '-' : value.toFixed(3)
}

function formatNumber(value: number | undefined): string {
  if (value === undefined) return '-'
  return Number.isInteger(value) ? String(value) : value.toFixed(1)
}

/** Names to the left, numbers to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
