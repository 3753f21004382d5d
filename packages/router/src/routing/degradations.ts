import type { Reason } from '@kvfleet/core'
import type { Policy, PolicyNeed } from '../policy.js'

/** Everything some part of the policy wants. */
export function policyWants({ filters, scorers, picker }: Policy): ReadonlySet<PolicyNeed> {
  const parts = [...filters, ...scorers.map(({ scorer }) => scorer), picker]
  return new Set(parts.flatMap(({ wants }) => wants ?? []))
}

interface Inputs {
  /** Name of the prefix index; undefined when there is none. */
  readonly index: string | undefined
  /** Name of the token source; undefined when there is none. */
  readonly tokens: string | undefined
}

/** What the policy wants and will not get, as far as is known before the first request. */
export function missingInputs(wants: ReadonlySet<PolicyNeed>, inputs: Inputs): readonly Reason[] {
  const reasons: Reason[] = []
  if (wants.has('kv-events') && inputs.index === undefined) reasons.push({ code: 'no-kv-events' })
  if (wants.has('tokens') && inputs.tokens === undefined) reasons.push({ code: 'no-tokens' })
  return reasons
}
