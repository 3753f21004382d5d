import type { Scorer } from '@kvfleet/router'

/** Holds traffic back from a worker until it has been up for `warmupMs`. */
export const warmup = ({ warmupMs = 30_000 } = {}): Scorer => ({
  name: 'warmup',
  score: (_request, worker, { clock }) => Math.min(1, (clock.now() - worker.readyAt) / warmupMs),
})
