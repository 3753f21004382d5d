import type { DecodedKvEvent } from './codecs/codec.js'
import { createHashCounts, type HashCounts } from './hash-counts.js'
import type { BlockHashes, KvBlocksStored, KvEvent, KvMedium } from './kv-event.js'

/**
 * Turns one publisher's physical events into residencies: what comes out says `stored` when a medium gains its first
 * copy of a block and `removed` when it loses the last. vLLM keeps one hash in several physical blocks (a prompt that
 * is cached to its very end computes its last block again; so do equal prompts that run at once), and reports each.
 *
 * Of a model with several groups of whole-prefix attention, the first group seen stands for all of them.
 *
 * Limit: a request with `kv_cache_report_mode: full` makes vLLM report blocks again that gained no copy. Nothing in
 * such an event tells it apart, so those blocks seem to stay until the next clear or reset.
 */
export interface DuplicateCounter {
  apply(events: readonly DecodedKvEvent[]): KvEvent[]
  /** Forgets everything: what the stream was reset for is unknown again. */
  reset(): void
  /** Blocks that are held, over all media. */
  readonly size: number
}

export function createDuplicateCounter(): DuplicateCounter {
  const media = new Map<KvMedium, HashCounts>()
  let prefixGroup: number | undefined

  const countsOf = (medium: KvMedium) => {
    let counts = media.get(medium)
    if (counts === undefined) {
      counts = createHashCounts()
      media.set(medium, counts)
    }
    return counts
  }

  return {
    get size() {
      let size = 0
      for (const counts of media.values()) size += counts.size
      return size
    },
    apply(events) {
      const out: KvEvent[] = []
      for (const { event, group } of events) {
        if (event.type === 'cleared') {
          if (event.medium === undefined) media.clear()
          else media.delete(event.medium)
          out.push(event)
          continue
        }
        if (group !== undefined) {
          if (group.wholePrefix === false) continue
          if (event.type === 'stored') prefixGroup ??= group.index
          if (prefixGroup !== undefined && group.index !== prefixGroup) continue
        }
        const counts = countsOf(event.medium)
        if (event.type === 'stored') pushStored(event, counts, out)
        else {
          const gone = event.hashes.filter(everyPair(event.hashes, (high, low) => counts.remove(high, low) === 0))
          if (gone.length === event.hashes.length) out.push(event)
          else if (gone.length > 0) out.push({ ...event, hashes: gone })
        }
      }
      return out
    },
    reset() {
      media.clear()
      prefixGroup = undefined
    },
  }
}

/** Cuts the event into runs of blocks that are new; in between lie blocks that were held already. */
function pushStored(event: KvBlocksStored, counts: HashCounts, out: KvEvent[]): void {
  const blocks = event.hashes.length / 2
  let start = 0
  for (let block = 0; block <= blocks; block++) {
    const isNew = block < blocks && counts.add(event.hashes[2 * block] as number, event.hashes[2 * block + 1] as number) === 1
    if (isNew) continue
    if (block > start) out.push(start === 0 && block === blocks ? event : run(event, start, block))
    start = block + 1
  }
}

function run(event: KvBlocksStored, start: number, end: number): KvBlocksStored {
  const { blockSize } = event.keySpace
  const { extraKeys, ...rest } = event
  return {
    ...rest,
    hashes: event.hashes.subarray(2 * start, 2 * end),
    parent: start === 0 ? event.parent : event.hashes.subarray(2 * start - 2, 2 * start),
    tokens: event.tokens?.subarray(start * blockSize, end * blockSize),
    ...(extraKeys === undefined ? {} : { extraKeys: extraKeys.slice(start, end) }),
  }
}

/** A filter over words that asks once per pair. */
function everyPair(hashes: BlockHashes, keep: (high: number, low: number) => boolean): (word: number, index: number) => boolean {
  let kept = false
  return (word, index) => {
    if (index % 2 === 0) kept = keep(word, hashes[index + 1] as number)
    return kept
  }
}
