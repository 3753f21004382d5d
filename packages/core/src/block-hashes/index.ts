export { canonicalExtraKey, type ChainOptions, chainBlockHashes, promptExtraKeys } from './chain64.js'
