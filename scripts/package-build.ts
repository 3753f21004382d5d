import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'tsup'

interface PackageManifest {
  readonly name: string
  readonly exports: Readonly<Record<string, string>>
  /** What pnpm puts over the fields of the same name when it packs. */
  readonly publishConfig: {
    readonly bin?: Readonly<Record<string, string>>
    readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>
  }
}

/** The tsup configuration of the package in `folder`: one entry for every path it exports and every program it installs. */
export function packageBuild(folder: string): ReturnType<typeof defineConfig> {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageManifest
  const modules = exportedModules(manifest)
  return defineConfig({
    entry: { ...modules, ...programs(manifest) },
    format: 'esm',
    dts: { entry: modules },
    target: 'node20',
    splitting: true,
    sourcemap: false,
    clean: true,
  })
}

/** Output name (without folder and ending) -> source, for `exports`; refuses a manifest whose two lists differ. */
export function exportedModules(manifest: PackageManifest): Record<string, string> {
  const { name, exports, publishConfig } = manifest
  const published = publishConfig.exports
  const entries: Record<string, string> = {}
  for (const path of new Set([...Object.keys(exports), ...Object.keys(published)])) {
    const source = exports[path]
    const target = published[path]
    if (source === undefined || target === undefined) {
      throw new Error(`${name}: "${path}" is in only one of exports and publishConfig.exports`)
    }
    const output = outputName(target.default)
    if (outputName(target.types) !== output) throw new Error(`${name}: the types of "${path}" lie beside another module`)
    entries[output] = source
  }
  return entries
}

/** The same for installed programs, whose sources lie in src where their outputs lie in dist. */
function programs(manifest: PackageManifest): Record<string, string> {
  return Object.fromEntries(Object.values(manifest.publishConfig.bin ?? {}).map(path => [outputName(path), `src/${outputName(path)}.ts`]))
}

function outputName(path: string): string {
  const match = /^\.\/dist\/(.+?)(\.d\.ts|\.js)$/.exec(path)
  if (match?.[1] === undefined) throw new Error(`"${path}" is not a module in dist`)
  return match[1]
}
