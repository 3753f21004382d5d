/** A command as program and arguments: no shell expands them. */
export interface RemoteCommand {
  readonly program: string
  readonly arguments?: readonly string[]
  /** Replaces the environment. Default: the machine's own. */
  readonly environment?: Readonly<Record<string, string>>
  readonly input?: string
  /** The command is ended when it runs longer. Default: the shell's own. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface RemoteResult {
  /** Exit status; a command ended by a signal reports 128 + its number, as POSIX shells do. */
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  readonly durationMs: number
}

/**
 * Runs commands on one machine. Resolves for every exit status; rejects with SHELL_UNREACHABLE when the machine
 * or the program cannot be reached, ABORTED when the signal or the timeout ended it.
 */
export interface RemoteShell {
  /** For messages: `local`, `ssh:host`. */
  readonly name: string
  run(command: RemoteCommand): Promise<RemoteResult>
}
