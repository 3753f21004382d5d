import { type EngineAdapter, KvFleetError, llamacpp, nearestName, openai, parseOptions, sglang, vllm, type WorkerSpec } from '@kvfleet/core'
import * as v from 'valibot'

export const engineAdapters: Readonly<Record<string, () => EngineAdapter>> = { vllm, sglang, llamacpp, openai }

/** The adapter of that name; throws OPTION_INVALID naming the field and the nearest known name. */
export function engineByName(what: string, name: string): EngineAdapter {
  const known = Object.keys(engineAdapters)
  const make = Object.hasOwn(engineAdapters, name) ? engineAdapters[name] : undefined
  if (make !== undefined) return make()
  const nearest = nearestName(name, known)
  const hint = nearest === undefined ? '' : `, did you mean "${nearest}"?`
  throw new KvFleetError('OPTION_INVALID', `${what}: engine: expected one of ${known.join(', ')}, got "${name}"${hint}`, {
    details: { what, field: 'engine', expected: known },
  })
}

const schema = v.looseObject({ id: v.string(), url: v.string(), engine: v.string() })

/** A worker as JSON: a WorkerSpec whose engine is a name. What else does not fit, `fleet.add` refuses. */
export function workerSpec(body: unknown): WorkerSpec {
  const { engine, ...spec } = parseOptions('worker', schema, body)
  return { ...spec, engine: engineByName('worker', engine) }
}
