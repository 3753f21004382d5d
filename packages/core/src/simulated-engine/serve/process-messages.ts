import type { ErrorCode } from '../../error-codes.js'
import type { ServeSimulatedEngineOptions } from './options.js'

/** What parent and child of a simulated engine process say to each other over IPC. */
export type ToEngineProcess = { readonly type: 'serve'; readonly options: ServeSimulatedEngineOptions } | { readonly type: 'close' }

export type FromEngineProcess =
  | {
      readonly type: 'ready'
      readonly url: string
      readonly port: number
      readonly kvEventsPort: number | undefined
      readonly replayPort: number | undefined
    }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string; readonly details: Readonly<Record<string, unknown>> }
