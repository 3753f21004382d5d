import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { extractUnits, type Unit } from './blocks.js'

/** Where the blocks' modules are written: inside examples, so that they see the packages that a host would install. */
export const generatedFolder = 'examples/.kvfleet/docs'

const isPage = (file: string) => /^([^/]+|docs\/.*|(packages\/[^/]+|examples)\/README)\.md$/.test(file)

/** The units of every page of the documentation below `root`. */
export function readUnits(root: string): Unit[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', '*.md'], { cwd: root, encoding: 'utf8' }).split('\n')
  return listed
    .filter(file => isPage(file) && existsSync(join(root, file)))
    .sort()
    .flatMap(file => extractUnits(file, readFileSync(join(root, file), 'utf8')))
}

/** The module of a unit, relative to the repository. */
export function moduleOf(unit: Unit): string {
  return `${generatedFolder}/${pageFolder(unit.page)}/${unit.file}`
}

function pageFolder(page: string): string {
  return page.replace(/\.md$/, '').replaceAll('/', '-')
}

/** Writes every unit's module and a tsconfig for them, in place of what was there. */
export function writeModules(root: string, units: readonly Unit[]): void {
  rmSync(join(root, generatedFolder), { recursive: true, force: true })
  mkdirSync(join(root, generatedFolder), { recursive: true })
  const base = '../'.repeat(generatedFolder.split('/').length)
  // Blocks are modules even when they import nothing, and unused names are a matter of taste in an example.
  const config = { extends: `${base}tsconfig.base.json`, compilerOptions: { moduleDetection: 'force' }, include: ['./**/*.ts'] }
  writeFileSync(join(root, generatedFolder, 'tsconfig.json'), JSON.stringify(config))
  for (const unit of units) {
    const path = join(root, moduleOf(unit))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, unit.code)
  }
}

/** Text of a tool with every module's path replaced by its page's: their line numbers are the same. */
export function inTermsOfPages(root: string, text: string, units: readonly Unit[]): string {
  let result = text.replaceAll('file://', '').replaceAll(`${root}/`, '')
  for (const unit of units) result = result.replaceAll(moduleOf(unit), unit.page)
  return result
}
