/** A distribution by its quantiles: [probability, value] in ascending order, from probability 0 to 1. */
export type QuantileTable = readonly (readonly [probability: number, value: number])[]

/** The value at probability `u`, linear between the table's points. */
export function quantileOf(table: QuantileTable, u: number): number {
  let low = 0
  let high = table.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((table[middle] as readonly [number, number])[0] <= u) low = middle
    else high = middle
  }
  const [p0, v0] = table[low] as readonly [number, number]
  const [p1, v1] = table[high] as readonly [number, number]
  return p1 === p0 ? v0 : v0 + ((v1 - v0) * (u - p0)) / (p1 - p0)
}
