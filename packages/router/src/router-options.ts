import { type Fleet, parseOptions } from '@kvfleet/core'
import * as v from 'valibot'
import type { PrefixIndex, RouterOptions, TokenSource } from './router.js'

const hasMethods = (value: unknown, ...names: readonly string[]): boolean =>
  typeof value === 'object' && value !== null && names.every(name => typeof (value as Record<string, unknown>)[name] === 'function')

const schema = v.strictObject({
  fleet: v.pipe(
    v.unknown(),
    v.check(value => hasMethods(value, 'candidates', 'lease', 'on'), 'expected a Fleet (createFleet)'),
  ),
  policy: v.unknown(),
  tokens: v.optional(
    v.pipe(
      v.unknown(),
      v.check(value => hasMethods(value, 'tokens'), 'expected a TokenSource, such as engineTokens()'),
    ),
  ),
  index: v.optional(
    v.pipe(
      v.unknown(),
      v.check(value => hasMethods(value, 'match', 'stats', 'close'), 'expected a PrefixIndex, such as createExactIndex(fleet)'),
    ),
  ),
})

/** Throws OPTION_INVALID for an unknown or unfit option; the policy is checked on its own, as `setPolicy` does. */
export function parseRouterOptions(options: RouterOptions): RouterOptions {
  const parsed = parseOptions('createRouter', schema, options)
  return {
    fleet: parsed.fleet as Fleet,
    policy: options.policy,
    ...(parsed.tokens === undefined ? {} : { tokens: parsed.tokens as TokenSource }),
    ...(parsed.index === undefined ? {} : { index: parsed.index as PrefixIndex }),
  }
}
