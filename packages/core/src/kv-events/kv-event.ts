/**
 * Block hashes travel as pairs of 32-bit words, [high, low, high, low, …]: JavaScript numbers cannot hold 64 bits
 * and one BigInt a block costs too much. A 32-byte digest is cut to its last 8 bytes, as vLLM itself does.
 */
export type BlockHashes = Uint32Array

/** Where a block lies, nearest first. vLLM's STORAGE and SGLang's DISK are `disk`, EXTERNAL is `remote`. */
export type KvMedium = 'gpu' | 'cpu' | 'disk' | 'remote'

/** Who can read what a store holds. */
export type KvReach =
  | { readonly scope: 'worker'; readonly workerId: string }
  | { readonly scope: 'host'; readonly host: string }
  | { readonly scope: 'zone'; readonly zone: string }
  | { readonly scope: 'fleet' }

/** Who holds the block: one rank of a worker, or a store with its reach. */
export type KvHolder =
  | { readonly kind: 'worker'; readonly workerId: string; readonly incarnation: number; readonly rank: number }
  | { readonly kind: 'store'; readonly storeId: string; readonly reach: KvReach }

/**
 * What makes two equal hashes mean the same block. Hashes of different key spaces are never compared;
 * a router joins them through the tokens of the event.
 */
export interface KvKeySpace {
  readonly model: string
  /** The hash chain: `vllm`, `sglang`, `lmcache`, or the host's own name. */
  readonly scheme: string
  /** Tokens per block. */
  readonly blockSize: number
  /** LoRA adapter by name; undefined for the base model. */
  readonly lora?: string
}

interface KvEventBase {
  readonly holder: KvHolder
  readonly medium: KvMedium
}

export interface KvBlocksStored extends KvEventBase {
  readonly type: 'stored'
  readonly keySpace: KvKeySpace
  readonly hashes: BlockHashes
  /** Hash of the block before the first one, two words; undefined at the start of a prompt. */
  readonly parent: BlockHashes | undefined
  /** hashes.length / 2 · blockSize token ids; undefined for blocks that only moved (offload). */
  readonly tokens: Uint32Array | undefined
  /** Per block, what besides tokens went into its hash (cache salt, multimodal ids), as canonical text; undefined when nothing. */
  readonly extraKeys?: readonly (string | undefined)[]
  /** Time to bring one block to the device from where it lies, in ms; 0 on the device, undefined when unknown. */
  readonly fetchMsPerBlock?: number
}

export interface KvBlocksRemoved extends KvEventBase {
  readonly type: 'removed'
  readonly hashes: BlockHashes
}

/** The holder lost everything on this medium, or on all of them. */
export interface KvCleared {
  readonly type: 'cleared'
  readonly holder: KvHolder
  readonly medium?: KvMedium
}

export type KvEvent = KvBlocksStored | KvBlocksRemoved | KvCleared

/** What the events of one source mean from here on; `reset` voids everything learnt before. */
export type KvStreamItem =
  | {
      readonly type: 'batch'
      readonly source: KvHolder
      readonly sequence: number
      /** The publisher's clock, epoch milliseconds. */
      readonly publishedAtMs: number
      readonly events: readonly KvEvent[]
    }
  | { readonly type: 'reset'; readonly source: KvHolder; readonly reason: KvResetReason }

/** gap: batches were lost for good; restart: the publisher began anew; joined: the history before is unknown. */
export type KvResetReason = 'gap' | 'restart' | 'joined' | 'closed'
