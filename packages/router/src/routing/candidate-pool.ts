import type { EngineLoad, EngineProfile, InFlight, Worker } from '@kvfleet/core'
import type { Candidate } from '../policy.js'
import type { IndexHolder } from '../router.js'

/** What stays equal between decisions while the same workers are offered. Never changed after it is built. */
export interface CandidatePool {
  readonly workers: readonly Worker[]
  readonly candidates: readonly Candidate[]
  readonly positions: ReadonlyMap<Candidate, number>
  /** Candidates by block size, in order; almost always one group. */
  readonly groups: readonly BlockSizeGroup[]
}

export interface BlockSizeGroup {
  readonly blockSize: number
  readonly positions: readonly number[]
  readonly holders: readonly IndexHolder[]
}

/** A live view of one rank: built once per worker incarnation, so that a decision builds none. */
class RankCandidate implements Candidate, IndexHolder {
  readonly id: string
  readonly workerId: string
  readonly incarnation: number

  constructor(
    readonly worker: Worker,
    readonly rank: number,
  ) {
    this.id = worker.id
    this.workerId = worker.id
    this.incarnation = worker.incarnation
  }

  get readyAt(): number {
    return this.worker.readyAt
  }

  get blockSize(): number {
    return this.worker.blockSize
  }

  get labels(): Readonly<Record<string, string>> {
    return this.worker.labels
  }

  get profile(): EngineProfile | undefined {
    return this.worker.profile
  }

  get inFlight(): InFlight {
    return this.worker.inFlight(this.rank)
  }

  get load(): EngineLoad | undefined {
    return this.worker.load(this.rank)
  }
}

/** Clients choose model names, so the number of remembered pools is bounded. */
const MAX_POOLS = 64

/** Expands workers into candidates by data-parallel rank and remembers the last expansion per key. */
export function createCandidatePools(): (key: string, workers: readonly Worker[]) => CandidatePool {
  const ranks = new WeakMap<Worker, readonly RankCandidate[]>()
  const pools = new Map<string, CandidatePool>()

  const ranksOf = (worker: Worker): readonly RankCandidate[] => {
    let found = ranks.get(worker)
    if (found === undefined) {
      found = Array.from({ length: worker.dataParallelRanks }, (_, rank) => new RankCandidate(worker, rank))
      ranks.set(worker, found)
    }
    return found
  }

  return (key, workers) => {
    const known = pools.get(key)
    if (known !== undefined && sameWorkers(known.workers, workers)) return known
    const pool = buildPool([...workers], workers.flatMap(ranksOf))
    if (workers.length === 0) {
      pools.delete(key)
    } else {
      if (pools.size >= MAX_POOLS) pools.clear()
      pools.set(key, pool)
    }
    return pool
  }
}

function buildPool(workers: readonly Worker[], candidates: readonly RankCandidate[]): CandidatePool {
  const groups = new Map<number, { blockSize: number; positions: number[]; holders: IndexHolder[] }>()
  candidates.forEach((candidate, position) => {
    const { blockSize } = candidate
    let group = groups.get(blockSize)
    if (group === undefined) {
      group = { blockSize, positions: [], holders: [] }
      groups.set(blockSize, group)
    }
    group.positions.push(position)
    group.holders.push(candidate)
  })
  return {
    workers,
    candidates,
    positions: new Map(candidates.map((candidate, position) => [candidate, position])),
    groups: [...groups.values()],
  }
}

function sameWorkers(a: readonly Worker[], b: readonly Worker[]): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return true
}
