import { describe, expect, it } from 'vitest'
import { kvBytes, kvBytesPerToken, kvBytesPerTokenPerRank, modelGeometry } from './index.js'

const llama8b = { num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8, hidden_size: 4096, torch_dtype: 'bfloat16' }
const llama70b = { ...llama8b, num_hidden_layers: 80, num_attention_heads: 64, hidden_size: 8192 }
const deepseekV3 = {
  num_hidden_layers: 61,
  num_attention_heads: 128,
  num_key_value_heads: 128,
  hidden_size: 7168,
  kv_lora_rank: 512,
  qk_rope_head_dim: 64,
  torch_dtype: 'bfloat16',
}
const gptOss120b = {
  num_hidden_layers: 36,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  head_dim: 64,
  hidden_size: 2880,
  sliding_window: 128,
  layer_types: Array.from({ length: 36 }, (_, layer) => (layer % 2 === 0 ? 'sliding_attention' : 'full_attention')),
}

describe('KV bytes per token', () => {
  it('follows from layers, KV heads and head size with grouped queries', () => {
    expect(kvBytesPerToken(modelGeometry(llama8b))).toBe(131_072)
    expect(kvBytesPerToken(modelGeometry(llama70b))).toBe(327_680)
    expect(kvBytesPerToken(modelGeometry(llama70b), { bytesPerElement: 1 })).toBe(163_840)
  })

  it('counts every head when the config names no KV heads', () => {
    const { num_key_value_heads: _, ...multiHead } = llama8b
    expect(kvBytesPerToken(modelGeometry(multiHead))).toBe(4 * 131_072)
  })

  it('splits KV heads over tensor-parallel ranks and copies them when there are more ranks than heads', () => {
    const geometry = modelGeometry(llama70b)
    expect(kvBytesPerTokenPerRank(geometry, { tensorParallel: 4 })).toBe(81_920)
    expect(kvBytesPerToken(geometry, { tensorParallel: 8 })).toBe(327_680)
    expect(kvBytesPerToken(geometry, { tensorParallel: 16 })).toBe(2 * 327_680)
  })

  it('keeps one latent vector a layer with MLA, copied to every rank', () => {
    const geometry = modelGeometry(deepseekV3)
    expect(kvBytesPerToken(geometry)).toBe(61 * (512 + 64) * 2)
    expect(kvBytesPerToken(geometry, { tensorParallel: 8 })).toBe(8 * 61 * (512 + 64) * 2)
  })

  it('stops growing in sliding-window layers once the window is full', () => {
    const geometry = modelGeometry(gptOss120b)
    const perLayer = 2 * 8 * 64 * 2
    expect(kvBytesPerToken(geometry)).toBe(36 * perLayer)
    expect(kvBytes(geometry, 10_000)).toBe(18 * perLayer * (10_000 + 128))
  })

  it('leaves out layers without KV and reads multimodal configs through text_config', () => {
    const hybrid = {
      ...llama8b,
      layer_types: Array.from({ length: 32 }, (_, layer) => (layer % 4 === 3 ? 'full_attention' : 'linear_attention')),
    }
    expect(kvBytesPerToken(modelGeometry({ model_type: 'vlm', text_config: hybrid }))).toBe(131_072 / 4)
  })

  it('ignores a window that is switched off, and applies one from max_window_layers on', () => {
    const windowed = { ...llama8b, sliding_window: 1024, max_window_layers: 16 }
    expect(kvBytes(modelGeometry({ ...windowed, use_sliding_window: false }), 4096)).toBe(4096 * 131_072)
    expect(kvBytes(modelGeometry(windowed), 4096)).toBe((16 / 32) * 131_072 * (4096 + 1024))
  })

  it('tells layers with a window from those with full attention in hybrid models', () => {
    const perLayer = 2 * 8 * 128 * 2
    const windowed = { ...llama8b, sliding_window: 1024 }
    const held = (config: object) => kvBytes(modelGeometry({ ...windowed, ...config }), 10_000) / perLayer
    // Every 6th of 32 layers: 5 with full attention.
    expect(held({ sliding_window_pattern: 6 })).toBe(5 * 10_000 + 27 * 1024)
    expect(held({ model_type: 'gemma3_text' })).toBe(held({ sliding_window_pattern: 6 }))
    expect(held({ model_type: 'gemma2' })).toBe(16 * (10_000 + 1024))
    const chunked = { sliding_window: null, attention_chunk_size: 2048 }
    expect(held(chunked)).toBe(8 * 10_000 + 24 * 2048)
    expect(held({ ...chunked, no_rope_layers: [...Array.from({ length: 31 }, () => 1), 0] })).toBe(10_000 + 31 * 2048)
    const layer_types = Array.from(
      { length: 32 },
      (_, layer) => ['chunked_attention', 'sliding_attention', 'mamba2', 'full_attention'][layer % 4],
    )
    expect(held({ layer_types, attention_chunk_size: 2048 })).toBe(8 * (2048 + 1024 + 10_000))
  })

  it('names a type of layer that it does not know', () => {
    for (const name of ['holographic_attention', 'constructor']) {
      expect(() => modelGeometry({ ...llama8b, layer_types: Array.from({ length: 32 }, () => name) })).toThrow(
        expect.objectContaining({
          code: 'OPTION_INVALID',
          message: expect.stringContaining(`layer_types: expected one of full_attention`),
        }),
      )
    }
    expect(() => modelGeometry({ ...llama8b, sliding_window: 1024, sliding_window_pattern: 'LLLG' })).toThrow(
      /sliding_window_pattern.*LLLG/,
    )
  })

  it('takes only a whole, positive number of ranks', () => {
    const geometry = modelGeometry(llama8b)
    for (const tensorParallel of [0, -1, 1.5, Number.NaN]) {
      for (const bytes of [() => kvBytes(geometry, 10, { tensorParallel }), () => kvBytesPerToken(geometry, { tensorParallel })]) {
        expect(bytes).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('tensorParallel') }))
      }
    }
  })

  it('names the field that does not fit', () => {
    expect(() => modelGeometry({ ...llama8b, num_hidden_layers: 'many' })).toThrow(/num_hidden_layers/)
    expect(() => modelGeometry({ ...llama8b, torch_dtype: 'int3' })).toThrow(/dtype.*int3/)
    expect(() => modelGeometry({ ...gptOss120b, layer_types: ['full_attention'] })).toThrow(/layer_types/)
  })
})
