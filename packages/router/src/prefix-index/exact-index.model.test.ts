import type { BlockHashes, KvEvent, KvMedium } from '@kvfleet/core'
import { chainBlockHashes } from '@kvfleet/core/block-hashes'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTestFleet } from '../testing/index.js'
import { createExactIndex } from './exact-index.js'

const BLOCK = 2
const IDS = ['a', 'b']
const MEDIA: readonly KvMedium[] = ['gpu', 'cpu']

/** A path names a block with everything before it: one digit a block, "012" is the third block of a prompt. */
type Path = string

const parentOf = (path: Path): Path | undefined => (path.length === 1 ? undefined : path.slice(0, -1))
const prefixes = (path: Path): Path[] => Array.from(path, (_, at) => path.slice(0, at + 1))
const tokensOf = (path: Path): Uint32Array => Uint32Array.from(Array.from(path).flatMap(digit => [Number(digit), 100 + Number(digit)]))
/** What the engine of a worker calls a block: differs by worker, as with seeds of their own. */
const engineHash = (id: string, path: Path): [number, number] => [id.charCodeAt(0), Number(`1${path}`)]
const engineHashes = (id: string, paths: readonly Path[]): BlockHashes => Uint32Array.from(paths.flatMap(path => engineHash(id, path)))

/** What an index can know of one worker, written for clarity alone. */
class Reference {
  readonly known = new Map<Path, Set<KvMedium>>()
  readonly waiting = new Map<Path, Set<KvMedium>>()

  stored(run: readonly Path[], medium: KvMedium, withTokens: boolean): void {
    for (const path of run) {
      const place = this.known.get(path) ?? (withTokens ? undefined : this.waiting.get(path))
      if (place !== undefined) {
        place.add(medium)
      } else if (withTokens) {
        this.waiting.set(path, (this.waiting.get(path) ?? new Set()).add(medium))
        this.settle()
      }
    }
  }

  removed(paths: readonly Path[], medium: KvMedium): void {
    for (const path of paths) {
      for (const blocks of [this.known, this.waiting]) {
        const media = blocks.get(path)
        media?.delete(medium)
        if (media?.size === 0) blocks.delete(path)
      }
    }
  }

  cleared(medium: KvMedium | undefined): void {
    const all = [...this.known.keys(), ...this.waiting.keys()]
    for (const each of medium === undefined ? MEDIA : [medium]) this.removed(all, each)
  }

  run(path: Path): number {
    const missing = prefixes(path).findIndex(prefix => !this.known.has(prefix))
    return missing < 0 ? path.length : missing
  }

  private settle(): void {
    for (let moved = true; moved; ) {
      moved = false
      for (const [path, media] of this.waiting) {
        const parent = parentOf(path)
        if (parent !== undefined && !this.known.has(parent)) continue
        this.waiting.delete(path)
        this.known.set(path, media)
        moved = true
      }
    }
  }
}

const id = fc.constantFrom(...IDS)
const medium = fc.constantFrom(...MEDIA)
const path = fc.array(fc.constantFrom('0', '1'), { minLength: 1, maxLength: 4 }).map(digits => digits.join(''))
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('stored' as const), id, path, from: fc.nat(3), medium, withTokens: fc.boolean() }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('removed' as const), id, paths: fc.array(path, { minLength: 1, maxLength: 4 }), medium }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cleared' as const), id, medium: fc.option(medium, { nil: undefined }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const), id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), id }) },
)

describe('the exact prefix index under random event streams', () => {
  it('knows what a reference of plain maps knows, with duplicates, unknown parents, resets and restarts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 100, size: 'max' }), fc.boolean(), async (steps, ownScheme) => {
        const { fleet, addWorker, removeWorker, emit } = createTestFleet()
        const index = createExactIndex(fleet)
        const references = new Map<string, Reference>()
        const join = async (worker: string) => {
          await addWorker(worker, { blockSize: BLOCK })
          references.set(worker, new Reference())
        }
        for (const worker of IDS) await join(worker)
        const holderOf = (worker: string) => ({
          kind: 'worker' as const,
          workerId: worker,
          incarnation: fleet.get(worker)?.incarnation as number,
          rank: 0,
        })
        const keySpace = { model: 'm', scheme: 'engine', blockSize: BLOCK }
        // One worker may speak the router's own scheme: its hashes need neither tokens nor parents.
        const speaksOwn = (worker: string) => ownScheme && worker === 'b'
        const hashesOf = (worker: string, paths: readonly Path[]) =>
          speaksOwn(worker)
            ? Uint32Array.from(paths.flatMap(one => [...chainBlockHashes(tokensOf(one), BLOCK).slice(-2)]))
            : engineHashes(worker, paths)

        for (const one of steps) {
          const holder = holderOf(one.id)
          const reference = references.get(one.id) as Reference
          const send = (event: KvEvent) => emit({ type: 'batch', source: holder, sequence: 0, publishedAtMs: 0, events: [event] })
          if (one.kind === 'stored') {
            const run = prefixes(one.path).slice(Math.min(one.from, one.path.length - 1))
            const parent = parentOf(run[0] as Path)
            const own = speaksOwn(one.id)
            send({
              type: 'stored',
              holder,
              medium: one.medium,
              keySpace: own ? { ...keySpace, scheme: 'kvfleet' } : keySpace,
              hashes: hashesOf(one.id, run),
              parent: parent === undefined ? undefined : hashesOf(one.id, [parent]),
              tokens: one.withTokens ? tokensOf(one.path).slice(-BLOCK * run.length) : undefined,
            })
            if (own) for (const each of run) reference.known.set(each, (reference.known.get(each) ?? new Set()).add(one.medium))
            else reference.stored(run, one.medium, one.withTokens)
          } else if (one.kind === 'removed') {
            send({ type: 'removed', holder, medium: one.medium, hashes: hashesOf(one.id, one.paths) })
            reference.removed(one.paths, one.medium)
          } else if (one.kind === 'cleared') {
            send({ type: 'cleared', holder, ...(one.medium === undefined ? {} : { medium: one.medium }) })
            reference.cleared(one.medium)
          } else if (one.kind === 'reset') {
            emit({ type: 'reset', source: holder, reason: 'gap' })
            references.set(one.id, new Reference())
          } else {
            await removeWorker(one.id)
            await join(one.id)
          }
          for (const asked of ['0000', '0101', '0011', '1111', '1010', '0110', '1001']) {
            const expected = IDS.map(worker => (references.get(worker) as Reference).run(asked))
            expect(index.match({ hashes: chainBlockHashes(tokensOf(asked), BLOCK), blockSize: BLOCK }, IDS.map(holderOf))).toEqual(expected)
          }
          const memberships = [...references.values()].reduce((sum, { known }) => sum + known.size, 0)
          const distinct = new Set([...references.values()].flatMap(({ known }) => [...known.keys()]))
          expect(index.stats()).toMatchObject({ memberships, blocks: distinct.size })
        }
      }),
      { numRuns: 100 },
    )
  })

  it('has forgotten every block and given the memory back when all are removed', async () => {
    const { fleet, addWorker, removeWorker, emit } = createTestFleet()
    const index = createExactIndex(fleet)
    const empty = index.stats().bytes
    const { incarnation } = await addWorker('a', { blockSize: BLOCK })
    const holder = { kind: 'worker' as const, workerId: 'a', incarnation, rank: 0 }
    const tokens = Uint32Array.from({ length: 20_000 }, (_, at) => at)
    const hashes = chainBlockHashes(tokens, BLOCK)
    const keySpace = { model: 'm', scheme: 'kvfleet', blockSize: BLOCK }
    const stored: KvEvent = { type: 'stored', holder, medium: 'gpu', keySpace, hashes, parent: undefined, tokens }
    emit({ type: 'batch', source: holder, sequence: 0, publishedAtMs: 0, events: [stored] })
    expect(index.stats()).toMatchObject({ blocks: 10_000, memberships: 10_000 })
    await removeWorker('a')
    expect(index.stats()).toEqual({ blocks: 0, memberships: 0, bytes: empty })
  })
})
