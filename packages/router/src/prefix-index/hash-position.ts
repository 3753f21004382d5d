/** Where probing for a 64-bit hash starts. Mixed again: a host's own hash scheme may be less even than ours. */
export function hashPosition(high: number, low: number, mask: number): number {
  const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b)
  return (mixed ^ (mixed >>> 15)) & mask
}

/** Share of occupied places above which a table doubles: linear probing still finds a place in a few steps. */
export const MAX_LOAD = 0.75
