/**
 * Why something was decided, as data. `code` is stable and kebab-case; `values` hold the numbers behind it,
 * units in their names. Every decision of kvfleet (routing, placement, scaling) carries a list of these.
 */
export interface Reason {
  readonly code: string
  readonly values?: Readonly<Record<string, string | number | boolean>>
}

/** One line for people: `code (name=value, …)`. */
export function formatReason({ code, values = {} }: Reason): string {
  const pairs = Object.entries(values).map(([name, value]) => `${name}=${typeof value === 'number' ? round(value) : value}`)
  return pairs.length === 0 ? code : `${code} (${pairs.join(', ')})`
}

function round(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(4))
}
