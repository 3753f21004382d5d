/**
 * `npm run check -- api`: the public surface of every package entry as text in etc/, so that a change of it shows in
 * review. The declarations come from TypeScript's own declaration output, without comments, sorted by name.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { compareKeptFiles } from './kept-files.js'

export interface Entry {
  /** As a host imports it: `@kvfleet/core/testing`. */
  readonly name: string
  readonly file: string
}

/** Every entry of every package below `root`. */
export function packageEntries(root: string): Entry[] {
  return readdirSync(join(root, 'packages'))
    .sort()
    .flatMap(folder => {
      const manifest = JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as {
        readonly name: string
        readonly exports: Readonly<Record<string, string>>
      }
      return Object.entries(manifest.exports).map(([path, source]) => ({
        name: manifest.name + path.slice(1),
        file: join(root, 'packages', folder, source),
      }))
    })
}

/** Entry name -> report. */
export function apiReports(entries: readonly Entry[], options: ts.CompilerOptions): Map<string, string> {
  const program = ts.createProgram(
    entries.map(entry => entry.file),
    { ...options, noEmit: false, noCheck: true, declaration: true, emitDeclarationOnly: true, removeComments: true },
  )
  const checker = program.getTypeChecker()
  const declarations = declarationFiles(program)
  const reports = new Map<string, string>()
  for (const { name, file } of entries) {
    const module = program.getSourceFile(file)
    const symbol = module && checker.getSymbolAtLocation(module)
    const exports = symbol === undefined ? [] : checker.getExportsOfModule(symbol)
    const lines = exports
      .map(exported => describe(exported, checker, declarations))
      .sort((a, b) => compare(a.name, b.name) || compare(a.text, b.text))
    reports.set(name, render(name, lines))
  }
  return reports
}

interface Described {
  readonly name: string
  readonly text: string
}

function describe(exported: ts.Symbol, checker: ts.TypeChecker, declarations: ReadonlyMap<string, ts.SourceFile>): Described {
  const { name } = exported
  const target = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
  const texts = new Set<string>()
  for (const declaration of target.declarations ?? []) {
    const source = declaration.getSourceFile()
    const foreign = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source.fileName)?.[1]
    const emitted = declarations.get(source.fileName)
    if (foreign !== undefined) texts.add(`export { ${name} } from '${foreign}'`)
    else if (declaration === source) texts.add(`export * as ${name} from '${basename(source.fileName)}'`)
    else if (emitted !== undefined) {
      if (target.name !== name) texts.add(`export { ${target.name} as ${name} }`)
      for (const text of statementsNamed(emitted, target.name)) texts.add(text)
    }
  }
  if (texts.size === 0) throw new Error(`no declaration found for the export "${name}"`)
  return { name, text: [...texts].join('\n') }
}

/** The statements of a declaration file that declare `name`, printed in one shape whatever the source's layout. */
function statementsNamed(file: ts.SourceFile, name: string): string[] {
  const printer = ts.createPrinter({ removeComments: true })
  return file.statements
    .filter(statement => declaredNames(statement).includes(name))
    .map(statement => printer.printNode(ts.EmitHint.Unspecified, statement, file).replaceAll('export declare ', 'export '))
}

function declaredNames(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => name.getText())
  const { name } = statement as ts.Statement & { readonly name?: ts.Node }
  return name === undefined ? [] : [name.getText()]
}

/** Source file -> its declaration file. */
function declarationFiles(program: ts.Program): Map<string, ts.SourceFile> {
  const files = new Map<string, ts.SourceFile>()
  program.emit(undefined, (path, text, _mark, _onError, sources) => {
    for (const source of sources ?? []) files.set(source.fileName, ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true))
  })
  return files
}

function render(name: string, exports: readonly Described[]): string {
  const declarations = exports.map(({ text }) => text).join('\n\n')
  return `# ${name}\n\nThe public surface of this entry; \`npm run check -- --fix\` rewrites it.\n\n\`\`\`ts\n${declarations}\n\`\`\`\n`
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** `@kvfleet/core/kv-events/zeromq` -> `core-kv-events-zeromq.api.md`. */
export function reportFile(entryName: string): string {
  return `${entryName.replace(/^@[^/]+\//, '').replaceAll('/', '-')}.api.md`
}

function main(): void {
  const root = process.cwd()
  const write = process.argv.includes('--write')
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} }
  const parsed = ts.getParsedCommandLineOfConfigFile(join(root, 'tsconfig.json'), {}, host)
  const entries = packageEntries(root)
  const missing = entries.filter(entry => !existsSync(entry.file))
  for (const { name, file } of missing) console.log(`${name}: its source ${relative(root, file)} is missing`)
  const reports = apiReports(
    entries.filter(entry => !missing.includes(entry)),
    parsed?.options ?? {},
  )
  const wanted = new Map<string, string | undefined>()
  const kept = existsSync(join(root, 'etc')) ? readdirSync(join(root, 'etc')) : []
  for (const file of kept) if (file.endsWith('.api.md')) wanted.set(`etc/${file}`, undefined)
  for (const [name, text] of reports) wanted.set(`etc/${reportFile(name)}`, text)
  const different = compareKeptFiles(root, wanted, write)
  console.log(
    `${reports.size} entries, ${different} ${write ? 'rewritten' : 'differ from etc/ (if that is meant: npm run check -- --fix)'}`,
  )
  process.exitCode = missing.length === 0 && (write || different === 0) ? 0 : 1
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main()
