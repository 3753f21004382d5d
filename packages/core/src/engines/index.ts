export { llamacpp } from './llamacpp.js'
export { openai } from './openai.js'
export { sglang } from './sglang.js'
export { type VllmOptions, vllm } from './vllm.js'
