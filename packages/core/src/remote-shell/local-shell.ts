import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { type Clock, deadline, systemClock } from '../clock.js'
import { KvFleetError } from '../errors.js'
import type { RemoteCommand, RemoteResult, RemoteShell } from './remote-shell.js'

export interface LocalShellOptions {
  readonly clock?: Clock
  /** For commands that name none. Default: 60 s. */
  readonly timeoutMs?: number
}

/** Runs commands on this machine, with this process's environment. */
export function localShell({ clock = systemClock, timeoutMs = 60_000 }: LocalShellOptions = {}): RemoteShell {
  return { name: 'local', run: command => runLocally(command, clock, command.timeoutMs ?? timeoutMs) }
}

async function runLocally(command: RemoteCommand, clock: Clock, timeoutMs: number): Promise<RemoteResult> {
  const { program } = command
  const timeout = deadline(clock, timeoutMs, () => aborted(program, `timed out after ${timeoutMs} ms`), command.signal)
  try {
    if (timeout.signal.aborted) throw aborted(program, 'the signal was aborted before it began', timeout.signal.reason)
    return await spawnAndCollect(command, clock, timeout.signal)
  } finally {
    timeout.release()
  }
}

function spawnAndCollect(command: RemoteCommand, clock: Clock, signal: AbortSignal): Promise<RemoteResult> {
  const startedAt = clock.now()
  return new Promise((resolve, reject) => {
    const child = spawn(command.program, command.arguments ?? [], {
      ...(command.environment && { env: { ...command.environment } }),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    const onAbort = () => child.kill('SIGKILL')
    signal.addEventListener('abort', onAbort, { once: true })
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
    // A program that reads no input closes its pipe early; that is its right.
    child.stdin.on('error', () => {})
    child.stdin.end(command.input ?? '')
    child.on('error', cause => {
      signal.removeEventListener('abort', onAbort)
      reject(new KvFleetError('SHELL_UNREACHABLE', `local: cannot start ${command.program}: ${cause.message}`, { cause }))
    })
    child.on('close', (status, endedBy) => {
      signal.removeEventListener('abort', onAbort)
      if (signal.aborted) {
        const reason: unknown = signal.reason
        return reject(KvFleetError.is(reason) ? reason : aborted(command.program, 'the signal was aborted', reason))
      }
      resolve({
        exitCode: status ?? 128 + (endedBy === null ? 0 : constants.signals[endedBy]),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
        durationMs: clock.now() - startedAt,
      })
    })
  })
}

function aborted(program: string, why: string, cause?: unknown): KvFleetError {
  return new KvFleetError('ABORTED', `local: ${program}: ${why}`, { details: { program }, cause })
}
