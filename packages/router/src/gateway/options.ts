import * as v from 'valibot'
import { gatewayDefaults } from './defaults.js'

const port = v.pipe(v.number(), v.integer('expected a port'), v.minValue(0, 'expected a port'), v.maxValue(65_535, 'expected a port'))
const host = v.pipe(v.string(), v.nonEmpty('expected an address'))

export const listenSchema = v.strictObject({ port, host: v.optional(host, gatewayDefaults.host) })

export const closeSchema = v.optional(
  v.strictObject({
    graceMs: v.optional(v.pipe(v.number(), v.finite('expected a finite number'), v.minValue(0, 'expected 0 or more'))),
  }),
  {},
)

export const byteCount = v.pipe(v.number(), v.integer('expected a whole number of bytes'), v.minValue(1, 'expected at least 1'))

export const gatewaySchema = v.strictObject({
  router: v.unknown(),
  maxBodyBytes: v.optional(byteCount, gatewayDefaults.maxBodyBytes),
  dispatch: v.optional(v.unknown()),
  admin: v.optional(listenSchema),
  metrics: v.optional(v.unknown()),
})
