import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type HealthInput, type HealthState, type HealthThresholds, healthOf, INITIAL_HEALTH, nextHealth } from './health-tracker.js'

const thresholds: HealthThresholds = { probeFailures: 3, probeSuccesses: 2, requestFailures: 4 }
const after = (inputs: readonly HealthInput[], from = INITIAL_HEALTH): HealthState =>
  inputs.reduce((state, input) => nextHealth(state, input, thresholds), from)
const times = (count: number, input: HealthInput): HealthInput[] => new Array<HealthInput>(count).fill(input)

describe('probes', () => {
  it('leave a worker unknown until the first success or a run of failures', () => {
    expect(healthOf(INITIAL_HEALTH)).toBe('unknown')
    expect(healthOf(after(['probe-succeeded']))).toBe('healthy')
    expect(healthOf(after(times(2, 'probe-failed')))).toBe('unknown')
    expect(healthOf(after(times(3, 'probe-failed')))).toBe('unhealthy')
  })

  it('need the whole run in a row, both ways', () => {
    const up = after(['probe-succeeded'])
    expect(healthOf(after(['probe-failed', 'probe-failed', 'probe-succeeded', 'probe-failed', 'probe-failed'], up))).toBe('healthy')
    const down = after(times(3, 'probe-failed'), up)
    expect(healthOf(after(['probe-succeeded', 'probe-failed', 'probe-succeeded'], down))).toBe('unhealthy')
    expect(healthOf(after(times(2, 'probe-succeeded'), down))).toBe('healthy')
  })
})

describe('the breaker', () => {
  const up = after(['probe-succeeded'])
  const open = after(times(4, 'request-failed'), up)

  it('opens after a run of failed requests that no completed one breaks', () => {
    expect(healthOf(open)).toBe('unhealthy')
    expect(healthOf(after([...times(3, 'request-failed'), 'request-completed', ...times(3, 'request-failed')], up))).toBe('healthy')
  })

  it('is not closed by probes: an engine may answer its health route and fail every request', () => {
    expect(healthOf(after(times(10, 'probe-succeeded'), open))).toBe('unhealthy')
  })

  it('lets one request try, and holds the others back until that one has an answer', () => {
    const halfOpen = after(['open-elapsed'], open)
    expect(healthOf(halfOpen)).toBe('healthy')
    const trial = after(['trial-taken'], halfOpen)
    expect(healthOf(trial)).toBe('unhealthy')
    expect(after(['trial-over'], trial).breaker).toBe('half-open')
    expect(after(['request-completed'], trial)).toEqual(up)
  })

  it('opens again at the first failure of a trial', () => {
    expect(after(['open-elapsed', 'trial-taken', 'request-failed'], open).breaker).toBe('open')
    expect(after(['open-elapsed', 'trial-taken', 'trial-over', 'request-failed'], open).breaker).toBe('open')
  })

  it('closes when any request completes', () => {
    expect(after(['request-completed'], open)).toEqual(up)
  })
})

it('is unhealthy exactly while probes or breaker say so, and gives the same object when nothing changes', () => {
  const input = fc.constantFrom<HealthInput>(
    'probe-succeeded',
    'probe-failed',
    'request-completed',
    'request-failed',
    'trial-taken',
    'trial-over',
    'open-elapsed',
  )
  fc.assert(
    fc.property(fc.array(input, { maxLength: 80 }), inputs => {
      let state = INITIAL_HEALTH
      for (const next of inputs) {
        const moved = nextHealth(state, next, thresholds)
        expect(moved === state).toBe(JSON.stringify(moved) === JSON.stringify(state))
        expect(healthOf(moved) === 'unhealthy').toBe(moved.probed === 'unhealthy' || ['open', 'trial'].includes(moved.breaker))
        expect(moved.breaker === 'closed' || moved.failedRequests >= thresholds.requestFailures).toBe(true)
        state = moved
      }
      // Whatever happened, time, one good request and good probes bring the worker back.
      expect(healthOf(after(['open-elapsed', 'request-completed', 'probe-succeeded', 'probe-succeeded'], state))).toBe('healthy')
    }),
  )
})
