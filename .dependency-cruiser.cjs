/** The arrows between the packages and inside them; `npm run check -- arrows` holds the tree against them. */

/** A file of one package must not reach another one of these, whichever way. */
const between = (name, from, to, comment) => ({ name, comment, severity: 'error', from: { path: from }, to: { path: to } })

/** Nothing that `from` imports, directly or through other modules, may be `to`. */
const closure = (name, from, to, comment) => ({ name, comment, severity: 'error', from: { path: from }, to: { path: to, reachable: true } })

const packageFolder = names => `^packages/(${names})/`
const tests = '\\.test\\.ts$'

module.exports = {
  forbidden: [
    between(
      'core-stands-alone',
      packageFolder('core'),
      '^(packages/(?!core/)|examples/)',
      'core is the shared language: it imports no other package.',
    ),
    between(
      'router-is-apart',
      packageFolder('router'),
      packageFolder('placement|cache|bench'),
      'router, placement and cache exchange core types only; the host wires them.',
    ),
    between(
      'placement-is-apart',
      packageFolder('placement'),
      packageFolder('router|cache|bench'),
      'router, placement and cache exchange core types only; the host wires them.',
    ),
    between(
      'cache-is-apart',
      packageFolder('cache'),
      packageFolder('router|placement|bench'),
      'router, placement and cache exchange core types only; the host wires them.',
    ),
    between('no-package-imports-examples', '^packages/', '^examples/', 'Examples use the packages, never the other way round.'),
    {
      name: 'no-reaching-into-a-package',
      comment: 'Another package is imported by its name, never by a relative path.',
      severity: 'error',
      from: { path: '^(packages/[^/]+|examples|scripts|benchmarks)/' },
      to: { path: '^packages/', pathNot: '^$1/', dependencyTypes: ['local'] },
    },
    closure(
      'core-index-is-light',
      '^packages/core/src/index\\.ts$',
      '^packages/core/src/(kv-events/zeromq|simulated-engine|prometheus)(/|\\.ts$)|(^|/)node_modules/(zeromq|prom-client)(/|$)|^(zeromq|prom-client)$',
      'The main entry of core needs no heavy dependency and carries no simulated engine: those are sub-paths.',
    ),
    closure(
      'router-index-has-no-server',
      '^packages/router/src/index\\.ts$',
      '^packages/router/src/gateway/',
      'The router is usable without its HTTP gateway.',
    ),
    between(
      'strategies-are-pure',
      '^packages/router/src/(policies|scorers|filters|pickers)/',
      '^packages/router/src/(dispatch|gateway)/',
      'A strategy decides; carrying it out is another room.',
    ),
    closure(
      'deciding-is-not-acting',
      '^packages/router/src/create-router\\.ts$',
      '^packages/router/src/(dispatch|gateway)/',
      'Decisions can be previewed, replayed and tested because nothing that makes them can act.',
    ),
    {
      ...between('no-test-in-the-product', '^packages/[^/]+/src/', tests, 'Product code does not import tests.'),
      from: { path: '^packages/[^/]+/src/', pathNot: tests },
    },
    {
      name: 'no-cycles',
      comment: 'Modules that need each other to load are one idea: join or cut them. Types may refer to each other.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolved', comment: 'An import that leads nowhere.', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|\\.kvfleet)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      mainFields: ['module', 'main', 'types'],
    },
    cache: false,
  },
}
