import { type Fleet, type KvHolder, type KvStreamItem, parseOptions } from '@kvfleet/core'
import * as v from 'valibot'
import { routerDefaults } from '../defaults.js'
import type { IndexHolder, PrefixIndex, PrefixQuery } from '../router.js'
import { BlockTable } from './block-table.js'
import { HolderBlocks, MAX_HOLDERS, type SharedBits } from './holder-blocks.js'

export interface ExactIndexOptions {
  /** Blocks of one holder and key space that may wait for an unknown parent. Default: 16,384. */
  readonly maxParkedBlocks?: number
}

const schema = v.strictObject({
  maxParkedBlocks: v.optional(
    v.pipe(v.number(), v.integer('expected an integer'), v.minValue(0, 'expected 0 or more')),
    routerDefaults.maxParkedBlocks,
  ),
})

type WorkerHolder = Extract<KvHolder, { kind: 'worker' }>

/** The ranks of the one incarnation of a worker that is in the fleet. */
interface WorkerEntry {
  readonly incarnation: number
  readonly ranks: (HolderBlocks | undefined)[]
}

/**
 * Which worker holds which block, exactly as the fleet's KV events say: it applies them in order and does nothing else.
 * Blocks are compared by the router's own hash of their tokens, so an engine's hash function and seed do not matter.
 * A block counts while any medium holds it; a block whose ancestry is unknown does not count. Events about stores are
 * left out: only workers hold.
 */
export function createExactIndex(fleet: Fleet, options: ExactIndexOptions = {}): PrefixIndex {
  const { maxParkedBlocks } = parseOptions('createExactIndex', schema, options)
  const table = new BlockTable()
  const shared: SharedBits = new Map()
  const workers = new Map<string, WorkerEntry>()
  const freeHolders: number[] = []
  let holders = 0
  let active = new Uint32Array(1)
  let runs = new Int32Array(32)

  const takeHolder = (): number | undefined => {
    const free = freeHolders.pop()
    if (free !== undefined) return free
    if (holders === MAX_HOLDERS) return undefined
    table.widen(holders + 1)
    if (active.length < table.words) {
      active = new Uint32Array(table.words)
      runs = new Int32Array(32 * table.words)
    }
    return holders++
  }

  const find = ({ workerId, incarnation, rank }: IndexHolder): HolderBlocks | undefined => {
    const entry = workers.get(workerId)
    return entry?.incarnation === incarnation ? entry.ranks[rank] : undefined
  }

  /** undefined for events of a worker that has left: they must not bring it back. */
  const findOrCreate = (holder: WorkerHolder): HolderBlocks | undefined => {
    const known = find(holder)
    if (known !== undefined) return known
    const { workerId, incarnation, rank } = holder
    if (fleet.get(workerId)?.incarnation !== incarnation) return undefined
    let entry = workers.get(workerId)
    if (entry?.incarnation !== incarnation) {
      if (entry !== undefined) forget(workerId, entry.incarnation)
      entry = { incarnation, ranks: [] }
      workers.set(workerId, entry)
    }
    const number = takeHolder()
    if (number === undefined) return undefined
    const created = new HolderBlocks(table, shared, number, maxParkedBlocks)
    entry.ranks[rank] = created
    return created
  }

  const forget = (workerId: string, incarnation: number) => {
    const entry = workers.get(workerId)
    if (entry?.incarnation !== incarnation) return
    workers.delete(workerId)
    for (const rank of entry.ranks) {
      if (rank === undefined) continue
      rank.clear()
      freeHolders.push(rank.holder)
    }
  }

  const apply = (item: KvStreamItem) => {
    if (item.type === 'reset') {
      if (item.source.kind === 'worker') find(item.source)?.clear()
      return
    }
    for (const event of item.events) {
      const { holder } = event
      if (holder.kind !== 'worker' || !sameHolder(holder, item.source)) continue
      if (event.type === 'stored') findOrCreate(holder)?.stored(event)
      else if (event.type === 'removed') find(holder)?.removed(event)
      else find(holder)?.cleared(event)
    }
  }

  const match = ({ hashes }: PrefixQuery, asked: readonly IndexHolder[]): number[] => {
    const found = asked.map(find)
    active.fill(0)
    for (const holder of found) {
      if (holder === undefined) continue
      const word = holder.holder >>> 5
      active[word] = (active[word] as number) | (1 << (holder.holder & 31))
    }
    table.leadingRuns(hashes, active, runs)
    return found.map(holder => (holder === undefined ? 0 : (runs[holder.holder] as number)))
  }

  const stop = [
    fleet.on('kv', apply),
    fleet.on('phase', ({ worker, to }) => {
      if (to === 'removed') forget(worker.id, worker.incarnation)
    }),
  ]

  return {
    name: 'exact',
    match,
    stats() {
      const ranks = [...workers.values()].flatMap(entry => entry.ranks.filter(rank => rank !== undefined))
      const bytes = ranks.reduce((sum, rank) => sum + rank.bytes, table.bytes)
      return { blocks: table.blocks, memberships: table.memberships, bytes }
    },
    close() {
      for (const unsubscribe of stop.splice(0)) unsubscribe()
      for (const [id, { incarnation }] of [...workers]) forget(id, incarnation)
    },
  }
}

function sameHolder(holder: WorkerHolder, source: KvHolder): boolean {
  return (
    source.kind === 'worker' &&
    source.workerId === holder.workerId &&
    source.incarnation === holder.incarnation &&
    source.rank === holder.rank
  )
}
