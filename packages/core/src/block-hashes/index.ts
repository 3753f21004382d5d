export { type ChainOptions, canonicalExtraKey, chainBlockHashes, promptExtraKeys } from './chain64.js'
export {
  type VllmChainOptions,
  type VllmExtraKey,
  vllmBlockDigest,
  vllmBlockDigests,
  vllmBlockHashes,
  vllmNoneHash,
} from './vllm.js'
