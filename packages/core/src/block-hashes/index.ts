export { canonicalExtraKey, type ChainOptions, chainBlockHashes, promptExtraKeys } from './chain64.js'
export {
  type VllmChainOptions,
  type VllmExtraKey,
  vllmBlockDigest,
  vllmBlockDigests,
  vllmBlockHashes,
  vllmNoneHash,
} from './vllm.js'
