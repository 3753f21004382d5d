export type { ServedKvEventsOptions, ServeSimulatedEngineOptions } from './options.js'
export { type SimulatedEngineServer, serveSimulatedEngine } from './serve-simulated-engine.js'
export { type SimulatedEngineProcess, type StartSimulatedEngineProcessOptions, startSimulatedEngineProcess } from './start-process.js'
