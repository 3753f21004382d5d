import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { htmlReport, type RunDocument, summaryColumns, terminalTable } from '@kvfleet/bench'
import type { RollingChange } from './rolling-change.js'

export function printTable({ title, parameters, series, notes }: RunDocument): void {
  const shown = Object.entries(parameters).map(([name, value]) => `${name}=${value}`)
  console.log(`\n${title} (${shown.join(', ')})`)
  for (const note of notes) console.log(`  ${note}`)
  console.log(`\n${terminalTable(series, summaryColumns, { colour: process.stdout.isTTY })}\n`)
}

export function printChange({ addedAt, drainStartedAt, drainedAt, inFlightAtStart, finished, aborted }: RollingChange): void {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
  console.log(
    `During kv-aware, worker-5 joined at ${seconds(addedAt)}; worker-1 was drained from ${seconds(drainStartedAt)} on: ` +
      `${inFlightAtStart} requests in flight, ${finished} finished, ${aborted} aborted, done ${seconds(drainedAt - drainStartedAt)} later (model time).`,
  )
}

/** All documents as one HTML report, and as JSON on wish. Prints where they are. */
export async function writeReports(documents: readonly [RunDocument, ...RunDocument[]], html: string, json?: string): Promise<void> {
  await writeTo(html, htmlReport(...documents))
  console.log(`Report: ${resolve(html)}`)
  if (json === undefined) return
  await writeTo(json, `${JSON.stringify({ documents })}\n`)
  console.log(`JSON:   ${resolve(json)}`)
}

async function writeTo(file: string, text: string): Promise<void> {
  await mkdir(dirname(resolve(file)), { recursive: true })
  await writeFile(file, text)
}
