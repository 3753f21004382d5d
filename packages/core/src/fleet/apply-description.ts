import type { EngineDescription } from '../engine.js'
import { KvFleetError } from '../errors.js'
import type { ParsedWorkerSpec } from './worker-spec.js'
import type { WorkerRecord } from './worker-view.js'

/**
 * Fills in what the host's spec left to the engine; the spec wins. Returns what the engine said that cannot be, which
 * then has no effect.
 */
export function applyDescription(record: WorkerRecord, spec: ParsedWorkerSpec, description: EngineDescription): readonly KvFleetError[] {
  const problems: KvFleetError[] = []
  const count = (field: 'blockSize' | 'dataParallelRanks'): number => {
    const said = description[field]
    if (spec[field] !== undefined || said === undefined) return record[field]
    if (Number.isInteger(said) && said >= 1) return said
    const expected = 'an integer of at least 1'
    problems.push(
      new KvFleetError('ENGINE_RESPONSE', `worker "${spec.id}": describe: ${field}: expected ${expected}, got ${said}`, {
        details: { workerId: spec.id, field, expected, received: String(said) },
      }),
    )
    return record[field]
  }
  record.blockSize = count('blockSize')
  record.dataParallelRanks = count('dataParallelRanks')
  if (spec.models === undefined && description.models !== undefined) record.models = Object.freeze([...description.models])
  record.capacity = Object.freeze({ ...description.capacity, ...spec.capacity })
  return problems
}
