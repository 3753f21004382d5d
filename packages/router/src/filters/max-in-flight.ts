import { parseOptions } from '@kvfleet/core'
import * as v from 'valibot'
import type { Filter } from '../policy.js'

export interface MaxInFlightOptions {
  /** A candidate with this many requests in flight takes no more. */
  readonly requests: number
}

/** Bounds the requests in flight per candidate: beyond the bound they are better off with another worker, or refused. */
export function maxInFlight(options: MaxInFlightOptions): Filter {
  const { requests } = parseOptions('maxInFlight', schema, options)
  return {
    name: 'max-in-flight',
    exclude(_request, { inFlight }) {
      return inFlight.requests >= requests ? `${inFlight.requests} of ${requests} requests` : undefined
    },
  }
}

const schema = v.strictObject({ requests: v.pipe(v.number(), v.integer('expected an integer'), v.minValue(1, 'expected 1 or more')) })
