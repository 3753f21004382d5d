import { describe, expect, it } from 'vitest'
import { canMove, ineligibleReason, isEligible, type WorkerHealth, type WorkerPhase } from './lifecycle.js'

const phases: WorkerPhase[] = ['joining', 'active', 'draining', 'drained', 'removed']
const healths: WorkerHealth[] = ['unknown', 'healthy', 'unhealthy']
const everyState = phases.flatMap(phase => healths.flatMap(health => [false, true].map(cordoned => ({ phase, health, cordoned }))))

describe('eligibility', () => {
  it('is given in 2 of the 30 states: active, not cordoned, and not known to be unhealthy', () => {
    expect(everyState).toHaveLength(30)
    expect(everyState.filter(isEligible)).toEqual([
      { phase: 'active', health: 'unknown', cordoned: false },
      { phase: 'active', health: 'healthy', cordoned: false },
    ])
  })

  it('names the phase first, then the cordon, then health', () => {
    expect(ineligibleReason({ phase: 'draining', health: 'unhealthy', cordoned: true })).toBe('draining')
    expect(ineligibleReason({ phase: 'active', health: 'unhealthy', cordoned: true })).toBe('cordoned')
    expect(ineligibleReason({ phase: 'active', health: 'unhealthy', cordoned: false })).toBe('unhealthy')
    expect(ineligibleReason({ phase: 'active', health: 'healthy', cordoned: false })).toBeUndefined()
  })

  it('gives a reason in exactly the states that are not eligible', () => {
    for (const state of everyState) expect(ineligibleReason(state) === undefined).toBe(isEligible(state))
  })
})

describe('phases', () => {
  it('only move forwards, one step or to removed', () => {
    const moves = phases.flatMap(from => phases.filter(to => canMove(from, to)).map(to => `${from} > ${to}`))
    expect(moves).toEqual([
      'joining > active',
      'joining > removed',
      'active > draining',
      'active > removed',
      'draining > drained',
      'draining > removed',
      'drained > removed',
    ])
  })
})
