import type { Reporter, TestModule } from 'vitest/node'

/**
 * Ends a run with `suites: N ran, M skipped` and the reason for each skip, so that a tier that tested nothing cannot
 * look like one that passed. A suite is one test file; it counts as skipped when none of its tests ran.
 * `KVFLEET_REQUIRE=services` (a comma-separated list of tiers) makes a skip in that tier a failure.
 */
export class SuitesReporter implements Reporter {
  readonly #tier: string

  constructor({ tier }: { readonly tier: string }) {
    this.#tier = tier
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const summary = summarize(modules.map(outcomeOf))
    for (const line of summary.lines) console.log(line)
    if (modules.length === 0) console.log(`0 suites: the tier "${this.#tier}" has no file that fits.`)
    if (summary.skips > 0 && requiredTiers(process.env.KVFLEET_REQUIRE).includes(this.#tier)) {
      console.error(`KVFLEET_REQUIRE names "${this.#tier}": a skip is a failure here.`)
      process.exitCode = 1
    }
  }
}

export interface SuiteOutcome {
  readonly file: string
  /** Tests that passed or failed. */
  readonly ran: number
  /** One reason per skipped test. */
  readonly skipReasons: readonly string[]
  readonly failedToLoad: boolean
}

export interface SuiteSummary {
  readonly lines: readonly string[]
  /** Suites or single tests that were skipped. */
  readonly skips: number
}

/** The lines that end a run. */
export function summarize(outcomes: readonly SuiteOutcome[]): SuiteSummary {
  const isSkipped = (outcome: SuiteOutcome) => outcome.ran === 0 && !outcome.failedToLoad
  const skipped = outcomes.filter(isSkipped)
  const partly = outcomes.filter(outcome => !isSkipped(outcome) && outcome.skipReasons.length > 0)
  const describe = ({ file, skipReasons }: SuiteOutcome) => `${file}: ${[...new Set(skipReasons)].join('; ') || 'it holds no test'}`
  return {
    lines: [
      `suites: ${outcomes.length - skipped.length} ran, ${skipped.length} skipped`,
      ...skipped.map(outcome => `  skipped ${describe(outcome)}`),
      ...partly.map(outcome => `  skipped ${outcome.skipReasons.length} in ${describe(outcome)}`),
    ],
    skips: skipped.length + partly.length,
  }
}

export function requiredTiers(variable: string | undefined): string[] {
  return (variable ?? '')
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
}

function outcomeOf(module: TestModule): SuiteOutcome {
  const skipReasons: string[] = []
  let ran = 0
  for (const test of module.children.allTests()) {
    const result = test.result()
    if (result.state === 'passed' || result.state === 'failed') ran++
    // A test that a name filter left out is "pending" or skipped without a note as well: the run was narrowed by hand.
    else skipReasons.push(('note' in result && result.note) || 'no reason given')
  }
  return { file: module.relativeModuleId, ran, skipReasons, failedToLoad: module.state() === 'failed' }
}
