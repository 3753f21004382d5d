#!/usr/bin/env node
import { runCommand } from './command.js'

/** As shells report a process that ended by Ctrl-C. */
const INTERRUPTED = 130

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(INTERRUPTED)
    stop.abort()
  })
}

process.exit(
  await runCommand(process.argv.slice(2), {
    print: line => console.log(line),
    complain: line => console.error(line),
    signal: stop.signal,
  }),
)
