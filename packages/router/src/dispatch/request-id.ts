import { nextInteger, type Random } from '@kvfleet/core'
import type { HeaderValues } from './dispatcher.js'
import { REQUEST_ID_HEADER, singleHeader } from './headers.js'

/** Visible ASCII: an id ends up in headers, logs and engines' own ids. */
const USABLE = /^[\x21-\x7e]{1,200}$/

/** Gives each request its id: the client's own, or one that is made of this process' random part and a count. */
export function requestIds(random: Random): (headers: HeaderValues) => string {
  const part = () => nextInteger(random, 2 ** 32).toString(36)
  const prefix = `req-${part()}${part()}`
  let count = 0
  return headers => {
    const given = singleHeader(headers, REQUEST_ID_HEADER)
    return given !== undefined && USABLE.test(given) ? given : `${prefix}-${(count++).toString(36)}`
  }
}
