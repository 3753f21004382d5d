import { describe, expect, it } from 'vitest'
import { publish, subscribe } from './index.js'

const drain = { workerId: 'a', waitedMs: 1, finished: 2, aborted: 0 }

describe('telemetry', () => {
  it('builds a message only while somebody listens', () => {
    let built = 0
    const message = () => {
      built++
      return drain
    }
    publish('kvfleet:drain', message)
    expect(built).toBe(0)

    const seen: unknown[] = []
    const unsubscribe = subscribe('kvfleet:drain', received => seen.push(received))
    publish('kvfleet:drain', message)
    unsubscribe()
    publish('kvfleet:drain', message)
    expect(built).toBe(1)
    expect(seen).toEqual([drain])
  })
})
