import * as v from 'valibot'
import type { EngineAdapter } from '../engine.js'
import type { EngineProfile } from '../engine-profile.js'
import { KvFleetError } from '../errors.js'
import { parseOptions } from '../options.js'
import type { Topology, WorkerCapacity, WorkerSpec } from '../worker.js'
import { port } from './fleet-options.js'

const count = v.pipe(v.number(), v.integer('expected an integer'), v.minValue(1, 'expected at least 1'))
const coefficient = v.pipe(v.number(), v.finite('expected a finite number'), v.minValue(0, 'expected at least 0'))
const name = v.pipe(v.string(), v.nonEmpty('expected a name that is not empty'))

/** RFC 9110: a token, and visible characters without line breaks. `fetch` would quote a bad value in its error. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~\dA-Za-z-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** `.` and `..` would vanish from the paths of an admin API. */
const WORKER_ID = /^(?!\.+$)[A-Za-z0-9._:-]{1,128}$/

/** Of URL and headers only the names: an error of the schema quotes the value, and these may hold credentials. */
const specSchema = v.strictObject({
  id: v.pipe(v.string(), v.regex(WORKER_ID, 'expected 1 to 128 letters, digits, ".", "_", "-" or ":", and more than dots')),
  url: v.custom<string>(() => true),
  engine: v.pipe(
    port<EngineAdapter>('an EngineAdapter with a name and health()', 'health'),
    v.check(engine => typeof engine.name === 'string' && engine.name !== '', 'expected an EngineAdapter with a name'),
  ),
  models: v.optional(v.array(name)),
  role: v.optional(v.picklist(['aggregated', 'prefill', 'decode']), 'aggregated'),
  blockSize: v.optional(count),
  dataParallelRanks: v.optional(count),
  capacity: v.optional(v.strictObject({ maxRunningRequests: v.optional(count), kvBlocks: v.optional(count) }), {}),
  topology: v.optional(
    v.strictObject({
      zone: v.optional(name),
      placementGroup: v.optional(name),
      transferDomain: v.optional(name),
      tensorParallelGroup: v.optional(name),
      host: v.optional(name),
    }),
    {},
  ),
  labels: v.optional(v.record(v.string(), v.string()), {}),
  profile: v.optional(
    v.strictObject({
      name: v.string(),
      stepBaseMs: coefficient,
      prefillMsPerToken: coefficient,
      prefillMsPerTokenPerContextToken: coefficient,
      decodeMsPerSequence: coefficient,
      decodeMsPerContextToken: coefficient,
      maxBatchedTokens: count,
      standIn: v.boolean(),
      source: v.optional(v.string()),
    }),
  ),
  upstreamHeaders: v.optional(v.custom<Readonly<Record<string, string>>>(() => true)),
})

/** A WorkerSpec that has been checked and copied: what the host changes later has no effect. */
export interface ParsedWorkerSpec
  extends Required<Pick<WorkerSpec, 'id' | 'engine' | 'role' | 'capacity' | 'topology' | 'labels' | 'upstreamHeaders'>> {
  /** Without a trailing slash. */
  readonly url: string
  readonly models: readonly string[] | undefined
  readonly blockSize: number | undefined
  readonly dataParallelRanks: number | undefined
  readonly profile: EngineProfile | undefined
}

export function parseWorkerSpec(spec: WorkerSpec): ParsedWorkerSpec {
  const { url, models, blockSize, dataParallelRanks, profile, upstreamHeaders, ...parsed } = parseOptions('fleet.add', specSchema, spec)
  return {
    ...parsed,
    url: baseUrl(url),
    models: models && Object.freeze(models),
    blockSize,
    dataParallelRanks,
    capacity: withoutUndefined<WorkerCapacity>(parsed.capacity),
    topology: withoutUndefined<Topology>(parsed.topology),
    labels: Object.freeze(parsed.labels),
    profile: profile && withoutUndefined<EngineProfile>(profile),
    upstreamHeaders: headersOf(upstreamHeaders),
  }
}

function withoutUndefined<T extends object>(value: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.freeze(Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined))) as T
}

function baseUrl(text: unknown): string {
  if (typeof text !== 'string' || !URL.canParse(text)) throw invalid('url', 'expected a URL')
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') throw invalid('url', 'expected no credentials; put them in upstreamHeaders')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw invalid('url', `expected http: or https:, got ${url.protocol}`)
  if (url.search !== '' || url.hash !== '') throw invalid('url', 'expected no query and no fragment')
  const path = url.pathname.replace(/\/+$/, '')
  if (path.endsWith('/v1')) throw invalid('url', 'expected the base URL without /v1')
  return url.origin + path
}

function headersOf(value: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
  const headers: unknown = value ?? {}
  // A Headers or a Map has no entries of its own: it would pass, and send nothing.
  const plain = typeof headers === 'object' && headers !== null && [Object.prototype, null].includes(Object.getPrototypeOf(headers))
  const entries = plain ? Object.entries(headers) : undefined
  if (!entries?.every(([key, text]) => HEADER_NAME.test(key) && typeof text === 'string' && HEADER_VALUE.test(text))) {
    throw invalid('upstreamHeaders', 'expected a plain object of header names and text values')
  }
  return Object.freeze(Object.fromEntries(entries))
}

function invalid(field: string, expected: string): KvFleetError {
  return new KvFleetError('OPTION_INVALID', `fleet.add: ${field}: ${expected}`, { details: { what: 'fleet.add', field, expected } })
}
