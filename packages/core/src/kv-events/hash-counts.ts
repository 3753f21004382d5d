/** How often each 64-bit hash is held. Two words a hash, no object per hash. */
export interface HashCounts {
  /** Adds one and returns the new count. */
  add(high: number, low: number): number
  /** Takes one off and returns what is left; -1 for a hash that is not held. */
  remove(high: number, low: number): number
  /** Distinct hashes held. */
  readonly size: number
}

const START_SLOTS = 1024

/** Open addressing with linear probing, at most three quarters full; a count of 0 marks a free slot. */
export function createHashCounts(): HashCounts {
  let mask = START_SLOTS - 1
  let highs = new Uint32Array(START_SLOTS)
  let lows = new Uint32Array(START_SLOTS)
  let counts = new Uint32Array(START_SLOTS)
  let size = 0

  // Engines' hashes are uniform already; the multiplication serves the ones of tests and toys.
  const home = (high: number, low: number) => (Math.imul(low ^ (high >>> 7), 0x9e3779b1) >>> 8) & mask

  /** The slot of the hash, or the free one where it would go. */
  const find = (high: number, low: number) => {
    let slot = home(high, low)
    while (counts[slot] !== 0 && (lows[slot] !== low || highs[slot] !== high)) slot = (slot + 1) & mask
    return slot
  }

  const grow = () => {
    const [oldHighs, oldLows, oldCounts] = [highs, lows, counts]
    const slots = 2 * (mask + 1)
    mask = slots - 1
    highs = new Uint32Array(slots)
    lows = new Uint32Array(slots)
    counts = new Uint32Array(slots)
    for (let old = 0; old < oldCounts.length; old++) {
      const count = oldCounts[old] as number
      if (count === 0) continue
      const slot = find(oldHighs[old] as number, oldLows[old] as number)
      highs[slot] = oldHighs[old] as number
      lows[slot] = oldLows[old] as number
      counts[slot] = count
    }
  }

  /** Frees a slot and moves up what probed past it, so that no search ends early. */
  const free = (slot: number) => {
    let hole = slot
    for (let next = (hole + 1) & mask; counts[next] !== 0; next = (next + 1) & mask) {
      const wanted = home(highs[next] as number, lows[next] as number)
      if (((next - wanted) & mask) < ((next - hole) & mask)) continue
      highs[hole] = highs[next] as number
      lows[hole] = lows[next] as number
      counts[hole] = counts[next] as number
      hole = next
    }
    counts[hole] = 0
  }

  return {
    get size() {
      return size
    },
    add(high, low) {
      let slot = find(high, low)
      if (counts[slot] === 0) {
        if (4 * (size + 1) > 3 * (mask + 1)) {
          grow()
          slot = find(high, low)
        }
        size++
        highs[slot] = high
        lows[slot] = low
      }
      const count = (counts[slot] as number) + 1
      counts[slot] = count
      return count
    },
    remove(high, low) {
      const slot = find(high, low)
      if (counts[slot] === 0) return -1
      const left = (counts[slot] as number) - 1
      counts[slot] = left
      if (left === 0) {
        size--
        free(slot)
      }
      return left
    },
  }
}
