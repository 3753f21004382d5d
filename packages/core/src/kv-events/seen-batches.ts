/** Fingerprints of the last batches, by number. */
export interface SeenBatches {
  add(sequence: number, payload: Uint8Array): void
  /** `unknown`: never seen, or too long ago to tell. */
  compare(sequence: number, payload: Uint8Array): 'same' | 'other' | 'unknown'
  clear(): void
}

/** At a few hundred batches a second, some seconds: more than a replay and the live batches beside it drift apart. */
const REMEMBERED = 1024

export function createSeenBatches(): SeenBatches {
  const sequences = new Float64Array(REMEMBERED).fill(-1)
  const prints = new Uint32Array(REMEMBERED)
  return {
    add(sequence, payload) {
      sequences[sequence % REMEMBERED] = sequence
      prints[sequence % REMEMBERED] = fingerprint(payload)
    },
    compare(sequence, payload) {
      if (sequences[sequence % REMEMBERED] !== sequence) return 'unknown'
      return prints[sequence % REMEMBERED] === fingerprint(payload) ? 'same' : 'other'
    },
    clear() {
      sequences.fill(-1)
    },
  }
}

export function sameBatch(a: Uint8Array, b: Uint8Array): boolean {
  return fingerprint(a) === fingerprint(b)
}

/** FNV-1a over the length and the first bytes, where the timestamp lies. */
function fingerprint(payload: Uint8Array): number {
  let hash = 0x811c9dc5 ^ payload.length
  const end = Math.min(64, payload.length)
  for (let index = 0; index < end; index++) hash = Math.imul(hash ^ (payload[index] as number), 0x01000193)
  return hash >>> 0
}
