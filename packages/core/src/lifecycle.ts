/**
 * joining → active → draining → drained → removed; any phase may go to removed.
 * Health and cordon are independent of the phase.
 */
export type WorkerPhase = 'joining' | 'active' | 'draining' | 'drained' | 'removed'

/** `unknown` until the first probe; a worker without probes stays unknown and counts as healthy. */
export type WorkerHealth = 'unknown' | 'healthy' | 'unhealthy'

export interface WorkerState {
  readonly phase: WorkerPhase
  readonly health: WorkerHealth
  /** Set by the operator: takes no new requests, keeps what it has. */
  readonly cordoned: boolean
}

const NEXT: Readonly<Record<WorkerPhase, readonly WorkerPhase[]>> = {
  joining: ['active', 'removed'],
  active: ['draining', 'removed'],
  draining: ['drained', 'removed'],
  drained: ['removed'],
  removed: [],
}

export function canMove(from: WorkerPhase, to: WorkerPhase): boolean {
  return NEXT[from].includes(to)
}

/** Why a worker takes no new requests; undefined when it does. The first reason that applies, in this order. */
export function ineligibleReason(
  state: WorkerState,
): 'joining' | 'draining' | 'drained' | 'removed' | 'cordoned' | 'unhealthy' | undefined {
  if (state.phase !== 'active') return state.phase
  if (state.cordoned) return 'cordoned'
  if (state.health === 'unhealthy') return 'unhealthy'
  return undefined
}

export function isEligible(state: WorkerState): boolean {
  return ineligibleReason(state) === undefined
}
