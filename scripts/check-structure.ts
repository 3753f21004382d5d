/** `npm run check -- structure`: file sizes, forbidden words and types, and what must not be in a public checkout. */
import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'

const LONGEST_FILE = 500
/** A strategy or adapter that needs more is two ideas. */
const LONGEST_PLUGIN = 149
const pluginFile = /^packages\/[^/]+\/src\/(.*\/)?(filters|scorers|pickers|policies|engines)\/[^/]+\.ts$/
const sourceFile = /^packages\/[^/]+\/src\/.*\.ts$/
const codeFile = /^(packages|examples|scripts|benchmarks)\/.*\.(ts|mjs|cjs|js)$|^[^/]+\.(ts|cjs)$/
const testFile = /\.test\.ts$/

export interface Finding {
  readonly file: string
  /** 0: the file as a whole. */
  readonly line: number
  readonly message: string
}

/** What is wrong with one file of packages/<name>/src: its length, its `any`s, its switched-off checks. */
export function checkSource(file: string, text: string): Finding[] {
  const findings: Finding[] = []
  const lines = countLines(text)
  const report = (line: number, message: string) => findings.push({ file, line, message })
  if (lines > LONGEST_FILE) report(0, `${lines} lines; at most ${LONGEST_FILE}`)
  else if (pluginFile.test(file) && !testFile.test(file) && lines > LONGEST_PLUGIN)
    report(0, `${lines} lines; a plug-in has at most ${LONGEST_PLUGIN}`)
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext)
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.AnyKeyword)
      report(source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1, 'the type "any"')
    ts.forEachChild(node, visit)
  }
  visit(source)
  return findings
}

const switchedOff = /(?:\/\/|\/\*)[\s*]*@ts-(?:ignore|nocheck)\b/
const openEnds = /\b(?:TO-?DO|FIX-?ME|X{3})\b/

/** What no code file of the repository may say. */
export function checkComments(file: string, text: string): Finding[] {
  return eachLine(text).flatMap(({ line, content }) => [
    ...(switchedOff.test(content) ? [{ file, line, message: 'a switched-off type check' }] : []),
    ...(openEnds.test(content) ? [{ file, line, message: 'an open end in a comment: do it, or leave it out' }] : []),
  ])
}

/** Texts that would tie the repository to one machine or one network. */
export function machineTraces(environment: { root: string; home: string; registry: string | undefined }): RegExp {
  const folders = new Set([environment.root, environment.home, '/root', '/work'].filter(folder => folder.length > 1))
  const host = environment.registry === undefined ? [] : [literal(new URL(environment.registry).host)]
  const anyFolder = [...folders].map(literal).join('|')
  const anyHost = ['registry\\.(?:npmjs|yarnpkg)\\.\\w+', ...host].join('|')
  return new RegExp(`(?<![\\w.@$~}/-])(?:${anyFolder})/|(?:${anyHost})`)
}

export function checkMachineTraces(file: string, text: string, traces: RegExp): Finding[] {
  return eachLine(text).flatMap(({ line, content }) => {
    const found = traces.exec(content)
    return found ? [{ file, line, message: `"${found[0]}" belongs to one machine or network` }] : []
  })
}

/** A lockfile without addresses installs from whichever registry a machine has. */
export function checkLockfile(file: string, text: string): Finding[] {
  return eachLine(text).flatMap(({ line, content }) =>
    /\bhttps?:|\btarball:/.test(content) ? [{ file, line, message: 'a download address in the lockfile' }] : [],
  )
}

export function countLines(text: string): number {
  return text === '' ? 0 : text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}

function eachLine(text: string): { line: number; content: string }[] {
  return text.split('\n').map((content, index) => ({ line: index + 1, content }))
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

function main(): void {
  const root = process.cwd()
  const traces = machineTraces({ root, home: homedir(), registry: process.env.npm_config_registry })
  const findings: Finding[] = []
  const sizes: number[] = []
  for (const file of repositoryFiles()) {
    const text = readText(resolve(root, file))
    if (text === undefined) continue
    findings.push(...checkMachineTraces(file, text, traces))
    if (codeFile.test(file)) findings.push(...checkComments(file, text))
    if (sourceFile.test(file)) findings.push(...checkSource(file, text))
    if (sourceFile.test(file) && !testFile.test(file)) sizes.push(countLines(text))
    if (file === 'pnpm-lock.yaml') findings.push(...checkLockfile(file, text))
  }
  for (const { file, line, message } of findings) console.log(`${file}${line > 0 ? `:${line}` : ''}: ${message}`)
  sizes.sort((a, b) => a - b)
  const at = (share: number) => sizes[Math.min(sizes.length - 1, Math.floor(sizes.length * share))] ?? 0
  console.log(
    `${sizes.length} source files without tests: median ${at(0.5)} lines, p90 ${at(0.9)}, longest ${at(1)}; ${findings.length} findings`,
  )
  process.exitCode = findings.length === 0 ? 0 : 1
}

/** Tracked files and those that could be added; deleted ones are still listed until they are staged. */
function repositoryFiles(): string[] {
  return execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { encoding: 'utf8', maxBuffer: 2 ** 26 })
    .split('\0')
    .filter(file => file !== '')
}

/** undefined for what is gone, not a plain file, or not text. */
function readText(path: string): string | undefined {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined
  const text = readFileSync(path, 'utf8')
  return text.includes('\0') ? undefined : text
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main()
