/**
 * Runs the module named on the command line and ends once it is evaluated, as a reader's program would be ended by
 * hand: an example may leave a server listening. A promise that never settles ends with Node's exit code 13.
 */
import { pathToFileURL } from 'node:url'

await import(pathToFileURL(process.argv[2]).href)
// A rejection that nobody handles is reported a turn later.
await new Promise(resolve => setImmediate(resolve))
process.exit()
