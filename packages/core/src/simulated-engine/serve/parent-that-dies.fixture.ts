import { standInProfile } from '../../engine-profile.js'
import { startSimulatedEngineProcess } from './index.js'

/** Starts an engine, tells its process id, and waits to be killed. */
const engine = await startSimulatedEngineProcess({ profile: standInProfile, blockSize: 16, kvBlocks: 100, kvEvents: false })
process.send?.(engine.pid)
