import * as v from 'valibot'
import { KvFleetError } from './errors.js'
import { parseOptions } from './options.js'

/** Layers that keep the same amount of KV per token. */
export interface KvLayerGroup {
  readonly layers: number
  /** KV heads; 1 for multi-head latent attention, whose one latent vector all heads share. */
  readonly kvHeads: number
  /** Elements kept per KV head and token: key and value, or the latent vector with its rotary part. */
  readonly elementsPerHead: number
  /** The layer keeps only this many last tokens; undefined keeps all. */
  readonly windowTokens: number | undefined
  readonly kind: 'attention' | 'latent'
}

/** What of a model decides the size of its KV cache. */
export interface ModelGeometry {
  readonly groups: readonly KvLayerGroup[]
  /** Of the weights; the KV cache has the same unless told otherwise. */
  readonly bytesPerElement: number
}

export interface KvSizeOptions {
  /** Default: 1. KV heads are split over the ranks; with more ranks than heads each rank keeps a copy. */
  readonly tensorParallel?: number
  /** Bytes of one stored element (fp8: 1). Default: the model's. */
  readonly bytesPerElement?: number
}

const count = v.pipe(v.number(), v.integer(), v.minValue(1))
const sizeSchema = v.strictObject({
  tensorParallel: v.optional(count, 1),
  bytesPerElement: v.optional(v.pipe(v.number(), v.finite(), v.gtValue(0))),
})
/** The fields of a Hugging Face config.json that matter here; all others are left alone. */
const configSchema = v.object({
  num_hidden_layers: count,
  num_attention_heads: count,
  hidden_size: v.optional(count),
  num_key_value_heads: v.nullish(count),
  head_dim: v.nullish(count),
  kv_lora_rank: v.nullish(count),
  qk_rope_head_dim: v.nullish(count),
  model_type: v.nullish(v.string()),
  sliding_window: v.nullish(count),
  /** Some write it as text, next to layer_types, which then counts. */
  sliding_window_pattern: v.nullish(v.union([count, v.string()])),
  attention_chunk_size: v.nullish(count),
  no_rope_layers: v.nullish(v.array(v.number())),
  no_rope_layer_interval: v.nullish(count),
  use_sliding_window: v.nullish(v.boolean()),
  max_window_layers: v.nullish(v.number()),
  layer_types: v.nullish(v.array(v.string())),
  torch_dtype: v.nullish(v.string()),
  dtype: v.nullish(v.string()),
})
type Config = v.InferOutput<typeof configSchema>

/** Every so many-th layer has full attention where neither layer_types nor sliding_window_pattern says so. */
const WINDOW_PATTERNS: Readonly<Record<string, number>> = { gemma2: 2, gemma3: 6, gemma3_text: 6, cohere2: 4 }
/** Llama 4: every so many-th layer is without rotary embedding and has full attention. */
const NO_ROPE_LAYER_INTERVAL = 4

/** A `hybrid` layer has attention beside its state-space part; a state does not grow with the tokens. */
const LAYER_TYPES: Readonly<Record<string, 'full' | 'sliding' | 'chunked' | 'none'>> = {
  full_attention: 'full',
  attention: 'full',
  global_attention: 'full',
  hybrid: 'full',
  sliding_attention: 'sliding',
  sliding_window_attention: 'sliding',
  sliding_window: 'sliding',
  local_attention: 'sliding',
  chunked_attention: 'chunked',
  linear_attention: 'none',
  gated_delta_net: 'none',
  kda: 'none',
  mamba: 'none',
  mamba2: 'none',
  ssm: 'none',
  recurrent: 'none',
  rwkv: 'none',
  conv: 'none',
  short_conv: 'none',
  mlp: 'none',
  moe: 'none',
}

const BYTES_PER_ELEMENT: Readonly<Record<string, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8_e4m3fn: 1,
  float8_e5m2: 1,
}

/**
 * Reads a model's config.json (parsed). Multimodal configs are read through `text_config`. Throws OPTION_INVALID naming
 * the field.
 */
export function modelGeometry(config: unknown): ModelGeometry {
  const text = isRecord(config) && isRecord(config['text_config']) ? { ...config, ...config['text_config'] } : config
  const model = parseOptions('config.json', configSchema, text)
  const dtype = model.dtype ?? model.torch_dtype ?? 'bfloat16'
  const bytesPerElement = BYTES_PER_ELEMENT[dtype]
  if (bytesPerElement === undefined) throw invalid('dtype', dtype, `one of ${Object.keys(BYTES_PER_ELEMENT).join(', ')}`)
  return { groups: layerGroups(model), bytesPerElement }
}

function layerGroups(model: Config): KvLayerGroup[] {
  const windows = layerWindows(model)
  const byWindow = new Map<number | undefined, number>()
  for (const window of windows) byWindow.set(window, (byWindow.get(window) ?? 0) + 1)
  return [...byWindow].map(([windowTokens, layers]) => ({ layers, windowTokens, ...headGeometry(model) }))
}

function headGeometry(model: Config): Pick<KvLayerGroup, 'kind' | 'kvHeads' | 'elementsPerHead'> {
  if (model.kv_lora_rank) {
    return { kind: 'latent', kvHeads: 1, elementsPerHead: model.kv_lora_rank + (model.qk_rope_head_dim ?? 0) }
  }
  const headDim = model.head_dim ?? (model.hidden_size === undefined ? undefined : model.hidden_size / model.num_attention_heads)
  if (headDim === undefined || !Number.isInteger(headDim)) {
    throw invalid('head_dim', headDim, 'a whole number, or hidden_size divisible by num_attention_heads')
  }
  return { kind: 'attention', kvHeads: model.num_key_value_heads ?? model.num_attention_heads, elementsPerHead: 2 * headDim }
}

/** Per layer that keeps KV: its window, or undefined for full attention. Linear-attention and state-space layers keep none. */
function layerWindows(model: Config): (number | undefined)[] {
  const window = model.use_sliding_window === false ? undefined : (model.sliding_window ?? undefined)
  if (model.layer_types) {
    if (model.layer_types.length !== model.num_hidden_layers) {
      throw invalid('layer_types', model.layer_types.length, `num_hidden_layers (${model.num_hidden_layers}) entries`)
    }
    const windows = { full: undefined, sliding: window, chunked: model.attention_chunk_size ?? undefined }
    return model.layer_types.flatMap(name => {
      const type = Object.hasOwn(LAYER_TYPES, name) ? LAYER_TYPES[name] : undefined
      if (type === undefined) throw invalid('layer_types', name, `one of ${Object.keys(LAYER_TYPES).join(', ')}`)
      return type === 'none' ? [] : [windows[type]]
    })
  }
  if (model.attention_chunk_size) return chunkedLayers(model, model.attention_chunk_size)
  const pattern = model.sliding_window_pattern ?? WINDOW_PATTERNS[model.model_type ?? '']
  if (window !== undefined && pattern !== undefined) {
    if (typeof pattern === 'string') throw invalid('sliding_window_pattern', pattern, 'a whole number, or layer_types beside it')
    return Array.from({ length: model.num_hidden_layers }, (_, layer) => ((layer + 1) % pattern === 0 ? undefined : window))
  }
  const firstWindowLayer = window === undefined ? model.num_hidden_layers : (model.max_window_layers ?? 0)
  return Array.from({ length: model.num_hidden_layers }, (_, layer) => (layer >= firstWindowLayer ? window : undefined))
}

/** Llama 4: a layer with rotary embedding sees the chunk that the token is in, one without sees everything. */
function chunkedLayers(model: Config, chunkTokens: number): (number | undefined)[] {
  const layers = model.num_hidden_layers
  const interval = model.no_rope_layer_interval ?? NO_ROPE_LAYER_INTERVAL
  // 1 for a layer with rotary embedding, whatever the field's name says; some configs leave the list empty.
  const rotary = model.no_rope_layers?.length ? model.no_rope_layers : Array.from({ length: layers }, (_, layer) => (layer + 1) % interval)
  if (rotary.length !== layers) throw invalid('no_rope_layers', rotary.length, `num_hidden_layers (${layers}) entries`)
  return rotary.map(value => (value === 0 ? undefined : chunkTokens))
}

/** Bytes that one further token adds on each tensor-parallel rank while no window is full. */
export function kvBytesPerTokenPerRank(geometry: ModelGeometry, options: KvSizeOptions = {}): number {
  return sumGroups(geometry, options, () => 1)
}

/** Bytes that one further token adds on all ranks together; a copied KV head counts on every rank. */
export function kvBytesPerToken(geometry: ModelGeometry, options: KvSizeOptions = {}): number {
  return kvBytesPerTokenPerRank(geometry, options) * (options.tensorParallel ?? 1)
}

/** Bytes that a sequence of `tokens` tokens holds on all ranks, windows taken into account. */
export function kvBytes(geometry: ModelGeometry, tokens: number, options: KvSizeOptions = {}): number {
  const ranks = options.tensorParallel ?? 1
  return ranks * sumGroups(geometry, options, group => Math.min(tokens, group.windowTokens ?? tokens))
}

function sumGroups(geometry: ModelGeometry, options: KvSizeOptions, tokensKept: (group: KvLayerGroup) => number): number {
  const { tensorParallel, bytesPerElement = geometry.bytesPerElement } = parseOptions('KV size', sizeSchema, options)
  return geometry.groups.reduce((bytes, group) => {
    const headsPerRank = Math.ceil(group.kvHeads / tensorParallel)
    return bytes + group.layers * headsPerRank * group.elementsPerHead * bytesPerElement * tokensKept(group)
  }, 0)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(field: string, received: unknown, expected: string): KvFleetError {
  return new KvFleetError('OPTION_INVALID', `config.json: ${field}: expected ${expected}, got ${received}`, {
    details: { field, received, expected },
  })
}
