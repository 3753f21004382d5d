import { defineConfig } from 'vitest/config'
import { JsonReporter } from 'vitest/node'
import { SuitesReporter } from './scripts/suites-reporter.js'

/**
 * Test tiers, told apart by a file's suffix (`*.services.test.ts`); `npm test` runs the files that have none.
 * `vitest run --mode <tier>` runs one of the others. The mode `docs` runs the code blocks that the documentation
 * gives as tests.
 */
const tiers = ['long', 'services', 'engines', 'peers']
const folders = ['packages/*/{src,test}', 'examples', 'scripts']

export default defineConfig(({ mode }) => {
  const tier = tiers.find(name => name === mode)
  const report = process.env.KVFLEET_TEST_REPORT
  const suffix = tier === undefined ? 'test.ts' : `${tier}.test.ts`
  return {
    test: {
      include: mode === 'docs' ? ['examples/.kvfleet/docs/**/*.test.ts'] : folders.map(folder => `${folder}/**/*.${suffix}`),
      exclude: [
        '**/node_modules/**',
        '**/dist/**',
        ...(mode === 'docs' ? [] : ['**/.kvfleet/**']),
        ...(tier === undefined ? tiers.map(name => `**/*.${name}.test.ts`) : []),
      ],
      passWithNoTests: tier !== undefined,
      testTimeout: tier === undefined ? 10_000 : 300_000,
      hookTimeout: tier === undefined ? 20_000 : 300_000,
      reporters: ['default', new SuitesReporter({ tier: tier ?? 'test' }), ...(report ? [new JsonReporter({ outputFile: report })] : [])],
    },
  }
})
