import type { Clock } from '@kvfleet/core'
import { formatCount, formatDuration } from './format.js'

/** The part of a writable stream that is used; `process.stderr` fits. */
export interface ProgressStream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface ProgressBarOptions {
  readonly stream: ProgressStream
  readonly total: number
  readonly clock: Clock
  readonly label?: string
}

export interface ProgressBar {
  /** `failed` counts as part of `done`. */
  update(progress: { readonly done: number; readonly failed?: number }): void
  /** Writes the last state and a line feed. Further calls have no effect. */
  end(): void
}

/** A terminal is redrawn at most this often: more is unreadable and costs the client time. */
const REDRAW_MS = 100
const BAR_WIDTH = 28

/** On a terminal one line that is rewritten; elsewhere (a log) a line at every tenth. */
export function progressBar({ stream, total, clock, label = '' }: ProgressBarOptions): ProgressBar {
  const startedAt = clock.now()
  let drawnAt = Number.NEGATIVE_INFINITY
  let tenths = 0
  let done = 0
  let failed = 0
  let ended = false

  const describe = (): string => {
    const elapsedMs = clock.now() - startedAt
    const left = done > 0 && done < total ? `, ${formatDuration((elapsedMs / done) * (total - done))} left` : ''
    const failures = failed > 0 ? `, ${formatCount(failed)} failed` : ''
    return `${formatCount(done)}/${formatCount(total)}${failures} in ${formatDuration(elapsedMs)}${left}`
  }
  const share = () => (total === 0 ? 1 : Math.min(1, done / total))
  const prefix = label === '' ? '' : `${label} `
  const redraw = () => {
    const filled = Math.round(share() * BAR_WIDTH)
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled)
    const line = `${prefix}${bar} ${describe()}`
    stream.write(`\r\u001b[2K${line.slice(0, (stream.columns ?? 80) - 1)}`)
  }

  return {
    update(progress) {
      if (ended) return
      done = progress.done
      failed = progress.failed ?? failed
      if (stream.isTTY) {
        if (clock.now() - drawnAt < REDRAW_MS) return
        drawnAt = clock.now()
        redraw()
      } else {
        const reached = Math.floor(share() * 10)
        if (reached <= tenths) return
        tenths = reached
        stream.write(`${prefix}${String(reached * 10).padStart(3)} %  ${describe()}\n`)
      }
    },
    end() {
      if (ended) return
      ended = true
      if (stream.isTTY) {
        redraw()
        stream.write('\n')
      } else if (tenths < 10) stream.write(`${prefix}ended  ${describe()}\n`)
    },
  }
}
