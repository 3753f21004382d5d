/**
 * The p-quantile (0 to 1) of values in ascending order by linear interpolation between order statistics: type 7 of
 * Hyndman and Fan, the default of R and NumPy. NaN for no values.
 */
export function percentile(sorted: ArrayLike<number>, p: number): number {
  if (sorted.length === 0) return Number.NaN
  const position = (sorted.length - 1) * p
  const below = Math.floor(position)
  const low = sorted[below] as number
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number
  return low + (high - low) * (position - below)
}
