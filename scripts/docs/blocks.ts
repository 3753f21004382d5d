/** One fenced `ts` block of a Markdown page. */
interface CodeBlock {
  /** Line of its first line of code, from 1. */
  readonly line: number
  readonly code: string
  readonly directive: Directive
}

/**
 * What an HTML comment before the block says, `<!-- docs: … -->`:
 * nothing: the block is compiled and run (so is `readme-example`, the block that .ci/run also runs from the packed packages);
 * `continue`: it goes on where the previous block of the page ended;
 * `test`: vitest runs it;
 * `file="policy.ts"`: it is run too, and other blocks of the page can import it as `./policy.js`;
 * `no-run reason="…"`: it is only compiled.
 */
interface Directive {
  readonly kind: 'run' | 'continue' | 'test' | 'no-run'
  readonly file?: string
  readonly reason?: string
}

/** One or more blocks of a page that form a module. */
export interface Unit {
  readonly page: string
  readonly kind: 'run' | 'test' | 'no-run'
  readonly line: number
  readonly file: string
  readonly reason?: string
  /** The blocks' code, each line at the line number that it has in the page. */
  readonly code: string
}

/** A mistake in a page, with its place. */
class DocsError extends Error {
  constructor(page: string, line: number, message: string) {
    super(`${page}:${line}: ${message}`)
  }
}

const fence = /^(\s*)(`{3,}|~{3,})\s*([\w-]*)/
const comment = /^\s*<!--\s*docs:\s*(.*?)\s*-->\s*$/

export function extractUnits(page: string, markdown: string): Unit[] {
  const units: Unit[] = []
  for (const block of extractBlocks(page, markdown)) {
    const { kind, file, reason } = block.directive
    if (kind === 'continue') {
      const previous = units.pop()
      if (previous === undefined) throw new DocsError(page, block.line, 'there is no block before it to continue')
      units.push({ ...previous, code: previous.code + atLine(block, previous.code) })
      continue
    }
    const name = file ?? `line-${block.line}${kind === 'test' ? '.test' : ''}.ts`
    if (units.some(unit => unit.file === name)) throw new DocsError(page, block.line, `two blocks of the page are the file "${name}"`)
    units.push({ page, kind, line: block.line, file: name, code: atLine(block, ''), ...(reason === undefined ? {} : { reason }) })
  }
  return units
}

function extractBlocks(page: string, markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = []
  let directive: Directive | undefined
  let open:
    | { readonly closing: RegExp; readonly indent: number; readonly line: number; readonly isCode: boolean; readonly lines: string[] }
    | undefined
  for (const [index, text] of markdown.split('\n').entries()) {
    if (open !== undefined) {
      if (!open.closing.test(text)) {
        open.lines.push(text.slice(Math.min(open.indent, text.length - text.trimStart().length)))
        continue
      }
      if (open.isCode) blocks.push({ line: open.line, code: open.lines.join('\n'), directive: directive ?? { kind: 'run' } })
      else if (directive !== undefined) throw new DocsError(page, open.line, 'a docs comment stands before a block that is not ts')
      open = undefined
      directive = undefined
      continue
    }
    const [, indent = '', marks = '', language] = fence.exec(text) ?? []
    const words = comment.exec(text)?.[1]
    if (marks !== '') {
      const closing = new RegExp(`^\\s*${marks[0]}{${marks.length},}\\s*$`)
      open = { closing, indent: indent.length, line: index + 2, isCode: language === 'ts' || language === 'typescript', lines: [] }
    } else if (words !== undefined) directive = parseDirective(page, index + 1, words)
    else if (text.trim() !== '' && directive !== undefined)
      throw new DocsError(page, index + 1, 'a docs comment must stand right before its block')
  }
  if (open !== undefined) throw new DocsError(page, open.line, 'the code block is never closed')
  return blocks
}

function parseDirective(page: string, line: number, words: string): Directive {
  if (words === 'readme-example') return { kind: 'run' }
  const match = /^(continue|test|no-run)?\s*(?:(file|reason)="([^"]+)")?$/.exec(words)
  const [, kind = 'run', attribute, value] = match ?? []
  const isMeant =
    match !== null && words !== '' && (attribute !== 'reason' || kind === 'no-run') && (attribute !== 'file' || kind === 'run')
  if (!isMeant) throw new DocsError(page, line, `"docs: ${words}" is none of: continue, test, file="…", no-run reason="…"`)
  if (kind === 'no-run' && value === undefined) throw new DocsError(page, line, 'a block that is not run needs a reason="…"')
  return { kind: kind as Directive['kind'], ...(attribute === undefined ? {} : { [attribute]: value }) }
}

/** The block's code after as many empty lines as put it at its own line number behind `before`. */
function atLine(block: CodeBlock, before: string): string {
  const linesBefore = before === '' ? 0 : before.split('\n').length - 1
  return `${'\n'.repeat(block.line - 1 - linesBefore)}${block.code}\n`
}

const url = /\b([a-z][a-z0-9+.-]*):\/\/(\[[^\]]*\]|[^/\s'"`:?#,)]*)/gi
const ipAddress = /(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])/g
const allowedHosts = ['127.0.0.1', 'localhost', '[::1]']

/**
 * Refuses code that names a network address outside this machine: documentation is run wherever the repository is
 * checked out. `http://fleet` is the name that createFleetFetch answers to; a host made up at run time starts with `$`.
 */
export function refuseAddresses(unit: Unit): void {
  for (const [index, text] of unit.code.split('\n').entries()) {
    const foreign = (host: string, scheme = '') =>
      !allowedHosts.includes(host) && !host.startsWith('${') && !(host === 'fleet' && scheme === 'http')
    const named = [...text.matchAll(url)].filter(([, scheme, host]) => foreign(host ?? '', scheme)).map(([whole]) => whole)
    const addresses = [...text.matchAll(ipAddress)].map(([whole]) => whole).filter(host => foreign(host))
    const [first] = [...named, ...addresses]
    if (first !== undefined) {
      throw new DocsError(
        unit.page,
        index + 1,
        `the block names the network address "${first}"; only 127.0.0.1, localhost and http://fleet may be named`,
      )
    }
  }
}
