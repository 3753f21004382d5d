import type { Metrics } from '@kvfleet/core/prometheus'
import type { DispatcherOptions } from '../dispatch/dispatcher.js'
import type { Router } from '../router.js'
import type { CloseOptions, ListenOptions } from './http-listener.js'

export interface GatewayOptions {
  readonly router: Router
  /** Default: 64 MiB. */
  readonly maxBodyBytes?: number
  /** How requests are sent on. */
  readonly dispatch?: Omit<DispatcherOptions, 'router'>
  /** Starts the admin API with the gateway, on an address of its own. Default: none. */
  readonly admin?: ListenOptions
  /** What `/metrics` shows. Default: the fleet's metrics when the optional peer prom-client is installed; false: nothing. */
  readonly metrics?: Metrics | false
}

export interface Gateway extends AsyncDisposable {
  /** Resolves with the gateway itself when it listens, its admin API too. Rejects with LISTEN_FAILED; then it is closed. */
  listen(options: ListenOptions): Promise<Gateway>
  /** Base URL without `/v1`; undefined until it listens. */
  readonly url: string | undefined
  readonly adminUrl: string | undefined
  /** Stops accepting, finishes what is in flight, then closes its connections. Router and fleet stay open. */
  close(options?: CloseOptions): Promise<void>
}
