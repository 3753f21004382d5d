import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Holds kept files against what the code says: path -> text, undefined for a file that should not be there.
 * With `write` it brings them in line. Returns how many were off, and prints where.
 */
export function compareKeptFiles(root: string, wanted: ReadonlyMap<string, string | undefined>, write: boolean): number {
  let different = 0
  for (const [file, text] of wanted) {
    const path = join(root, file)
    const kept = existsSync(path) ? readFileSync(path, 'utf8') : undefined
    if (kept === text) continue
    different++
    if (!write) console.log(firstDifference(file, kept, text))
    else if (text === undefined) rmSync(path)
    else {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
  }
  return different
}

/** Where the two texts part; undefined stands for a file that is not there. */
export function firstDifference(file: string, kept: string | undefined, wanted: string | undefined): string {
  if (kept === undefined) return `${file}: missing`
  if (wanted === undefined) return `${file}: nothing in the code stands behind it`
  const [keptLines, wantedLines] = [kept.split('\n'), wanted.split('\n')]
  const length = Math.max(keptLines.length, wantedLines.length)
  let line = 0
  while (line < length && keptLines[line] === wantedLines[line]) line++
  const shown = (text: string | undefined) => (text === undefined ? 'the end' : JSON.stringify(text))
  return `${file}:${line + 1}: kept ${shown(keptLines[line])}, the code says ${shown(wantedLines[line])}`
}
