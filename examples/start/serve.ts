import { once } from 'node:events'
import { startCluster } from './cluster.js'
import type { StartOptions } from './options.js'

/** Keeps a fresh gateway up under kv-aware until the signal aborts. */
export async function serveUntil(options: StartOptions, signal: AbortSignal): Promise<void> {
  const cluster = await startCluster('kv-aware', options, signal)
  try {
    console.log(`\nThe gateway is up at ${cluster.url} (admin API at ${cluster.adminUrl}). Try it:\n`)
    console.log(`  curl -N ${cluster.url}/v1/chat/completions -H 'content-type: application/json' \\`)
    console.log(`    -d '{"model":"simulated","stream":true,"max_tokens":32,"messages":[{"role":"user","content":"Hello"}]}'`)
    console.log(`  curl ${cluster.adminUrl}/workers\n\nCtrl-C ends it.`)
    if (!signal.aborted) await once(signal, 'abort')
  } finally {
    await cluster.close()
  }
}
