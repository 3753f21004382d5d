export type { DecodedKvBatch, DecodedKvEvent, KvCacheGroup, KvDecodeContext, KvEventCodec } from './codec.js'
export { sglangCodec } from './sglang.js'
export { vllmCodec } from './vllm.js'
