export { type EngineAdapterSubject, type EngineSuiteTools, testEngineAdapter } from './engine-conformance.js'
export { type MemoryEngine, type MemoryEngineOptions, type MemoryEngineState, memoryEngine } from './memory-engine.js'
