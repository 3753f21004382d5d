export type * from './engine.js'
export { inProcessEngine } from './in-process.js'
export { type InProcessKvEventsOptions, inProcessKvEvents } from './in-process-kv-events.js'
export { createSimulatedEngine } from './simulated-engine.js'
