/** The gateway in a process of its own, as a host would run it; told over IPC what to serve. */
import { createFleet, vllm } from '@kvfleet/core'
import { zeromqKvEvents } from '@kvfleet/core/kv-events/zeromq'
import { createRouter, kvAware, type Policy, roundRobin } from '@kvfleet/router'
import { createGateway } from '@kvfleet/router/gateway'

export interface GatewayOrder {
  readonly policy: 'round-robin' | 'kv-aware'
  readonly port: number
  readonly workers: readonly { readonly id: string; readonly url: string }[]
}

export type GatewayAnswer = { readonly url: string; readonly adminUrl: string } | { readonly error: string }

const policies: Record<GatewayOrder['policy'], () => Policy> = { 'round-robin': roundRobin, 'kv-aware': kvAware }

async function serve({ policy, port, workers }: GatewayOrder): Promise<GatewayAnswer> {
  const fleet = createFleet({ kvEvents: zeromqKvEvents() })
  const router = createRouter({ fleet, policy: policies[policy]() })
  const gateway = await createGateway({ router, admin: { port: port + 1 } }).listen({ port })
  await Promise.all(workers.map(worker => fleet.add({ ...worker, engine: vllm() })))
  return { url: `http://127.0.0.1:${port}`, adminUrl: `http://127.0.0.1:${port + 1}`, ...(gateway && {}) }
}

// Ctrl-C reaches the whole process group; this process ends when its parent lets go of it.
process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit())
process.once('message', (order: GatewayOrder) => {
  serve(order).then(
    answer => process.send?.(answer),
    error => process.send?.({ error: (error as Error).message }),
  )
})
