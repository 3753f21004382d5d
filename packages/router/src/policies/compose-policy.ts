import { parseOptions } from '@kvfleet/core'
import * as v from 'valibot'
import { maxScore } from '../pickers/max-score.js'
import type { Filter, Picker, Policy, Scorer, WeightedScorer } from '../policy.js'

export interface PolicyParts {
  readonly name: string
  /** Default: none. */
  readonly filters?: readonly Filter[]
  /** `[scorer, weight]` or `{ scorer, weight }`; weights are positive. Default: none, all candidates are equal. */
  readonly scorers?: readonly (WeightedScorer | readonly [scorer: Scorer, weight: number])[]
  /** Default: `maxScore()`. */
  readonly picker?: Picker
}

/** Puts a policy together. Throws OPTION_INVALID. */
export function composePolicy(parts: PolicyParts): Policy {
  const { name, filters, scorers, picker } = parseOptions('composePolicy', partsSchema, parts)
  return checkPolicy('composePolicy', {
    name,
    filters: filters as readonly Filter[],
    scorers: scorers.map(entry => (Array.isArray(entry) ? { scorer: entry[0], weight: entry[1] } : entry)) as WeightedScorer[],
    picker: (picker as Picker | undefined) ?? maxScore(),
  })
}

/** The policy itself when it fits; throws OPTION_INVALID naming what does not. */
export function checkPolicy(what: string, policy: Policy): Policy {
  parseOptions(what, policySchema, policy)
  return policy
}

const name = v.pipe(v.string(), v.minLength(1, 'expected a name'))

const members = (value: unknown) => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {})

/** Plug-ins may be class instances with members of their own: only what the router calls is checked. */
const plugin = (method: string, kind: string) =>
  v.pipe(
    v.unknown(),
    v.check(value => typeof members(value)[method] === 'function', `expected a ${kind} with a function "${method}"`),
    v.check(value => v.is(name, members(value).name), `expected a ${kind} with a name`),
  )

const wants = v.optional(v.array(v.picklist(['kv-events', 'tokens', 'engine-load'])))
const scorer = v.pipe(
  plugin('score', 'scorer'),
  v.check(value => v.is(wants, members(value).wants), 'wants: expected a list of "kv-events", "tokens", "engine-load"'),
)
const weight = v.pipe(v.number(), v.finite('expected a finite weight'), v.gtValue(0, 'expected a positive weight'))
const weighted = v.strictObject({ scorer, weight })

const policySchema = v.strictObject({
  name,
  filters: v.array(plugin('exclude', 'filter')),
  scorers: v.pipe(
    v.array(weighted),
    v.check(
      entries => new Set(entries.map(entry => members(entry.scorer).name)).size === entries.length,
      'scorers: expected different names, since decisions report scores by name',
    ),
  ),
  picker: plugin('pick', 'picker'),
})

const partsSchema = v.strictObject({
  name,
  filters: v.optional(v.array(v.unknown()), []),
  scorers: v.optional(v.array(v.unknown()), []),
  picker: v.optional(v.unknown()),
})
