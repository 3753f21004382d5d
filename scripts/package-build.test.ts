import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { exportedModules } from './package-build.js'

const manifest = (exports: Record<string, string>, published: Record<string, string>) => ({
  name: '@kvfleet/core',
  exports,
  publishConfig: {
    exports: Object.fromEntries(
      Object.entries(published).map(([path, name]) => [path, { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` }]),
    ),
  },
})

it('builds one module for every exported path', () => {
  const entries = exportedModules(manifest({ '.': './src/index.ts', './a/b': './src/a/b.ts' }, { '.': 'index', './a/b': 'a/b' }))
  expect(entries).toEqual({ index: './src/index.ts', 'a/b': './src/a/b.ts' })
})

it('refuses a path that only one of the two lists has', () => {
  expect(() => exportedModules(manifest({ '.': './src/index.ts' }, {}))).toThrow('"." is in only one of exports and publishConfig.exports')
  expect(() => exportedModules(manifest({}, { './x': 'x' }))).toThrow('"./x" is in only one')
})

it.each(readdirSync('packages'))('fits the manifest of %s', folder => {
  expect(() => exportedModules(JSON.parse(readFileSync(`packages/${folder}/package.json`, 'utf8')))).not.toThrow()
})
