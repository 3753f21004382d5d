import * as v from 'valibot'
import { KvFleetError } from './errors.js'

type Schema = v.GenericSchema

/**
 * Parses options, files and request bodies. Unknown keys are errors (use `v.strictObject`). Throws OPTION_INVALID
 * whose message names the field, the value and what was expected; for an unknown key, the nearest known one.
 */
export function parseOptions<S extends Schema>(what: string, schema: S, input: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, input, { abortEarly: true })
  if (result.success) return result.output
  const issue = innermost(result.issues[0] as v.BaseIssue<unknown>)
  const field = v.getDotPath(issue) ?? ''
  const details = { what, field, expected: issue.expected ?? issue.message, received: issue.received }
  throw new KvFleetError('OPTION_INVALID', `${what}: ${describe(schema, issue, field)}`, { details })
}

/**
 * A union only says that none of its options fits. Of an option that took the value's shape and then failed inside it,
 * the issue within is what the caller has to know; with several such options it is anyone's guess.
 */
function innermost(issue: v.BaseIssue<unknown>): v.BaseIssue<unknown> {
  if (issue.type !== 'union') return issue
  const inside = (issue.issues ?? []).filter(({ path }) => path !== undefined)
  const only = inside[0]
  if (only?.path === undefined || inside.length > 1) return issue
  return innermost({ ...only, path: issue.path === undefined ? only.path : [...issue.path, ...only.path] })
}

function describe(schema: Schema, issue: v.BaseIssue<unknown>, field: string): string {
  if (issue.kind === 'schema' && issue.type === 'strict_object' && issue.expected === 'never') {
    const key = String((issue.path?.at(-1) as { key?: unknown } | undefined)?.key ?? field)
    const known = knownKeys(
      schema,
      (issue.path ?? []).slice(0, -1).map(item => item.key),
    )
    const nearest = nearestName(key, known)
    return `unknown option "${field}"${nearest === undefined ? '' : `, did you mean "${nearest}"?`}`
  }
  const where = field === '' ? '' : `${field}: `
  return `${where}${issue.kind === 'validation' ? issue.message : `expected ${issue.expected}, got ${issue.received}`}`
}

/** The keys of the object schema that `path` leads to; empty when the schema cannot be followed. */
function knownKeys(schema: unknown, path: readonly unknown[]): string[] {
  let current = unwrap(schema)
  for (const key of path) {
    current = current.flatMap(({ entries, item }) => unwrap(entries ? entries[String(key)] : item))
  }
  return current.flatMap(({ entries }) => Object.keys(entries ?? {}))
}

interface AnySchema {
  readonly entries?: Record<string, unknown>
  readonly item?: unknown
  readonly wrapped?: unknown
  /** Of a union: schemas. Of a picklist: values. */
  readonly options?: readonly unknown[]
}

/** What a value may have to fit: one schema, or those of a union. */
function unwrap(schema: unknown): AnySchema[] {
  if (typeof schema !== 'object' || schema === null) return []
  const current: AnySchema = schema
  if (current.wrapped !== undefined) return unwrap(current.wrapped)
  return current.options === undefined ? [current] : current.options.flatMap(unwrap)
}

/** The known name within an edit distance of a third of its length (at least 2), nearest first. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const lower = name.toLowerCase()
  const ranked = known
    .map(candidate => ({ candidate, distance: editDistance(lower, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  return best !== undefined && best.distance <= Math.max(2, best.candidate.length / 3) ? best.candidate : undefined
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
