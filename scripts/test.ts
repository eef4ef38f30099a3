/**
 * `npm test`: formatting and lint, types, import rules, unused code, unit and integration tests, browser tests. All of
 * them run, whatever failed before; the last line sums up: `N passed, N failed, N skipped`.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findChromium } from './chromium.ts'
import { type UnitFile, unitSkipReasons } from './skip-reasons.ts'

type Counts = { passed: number; failed: number; skipped: number }

const reports = 'node_modules/.cache/test-reports'
rmSync(reports, { recursive: true, force: true })
mkdirSync(reports, { recursive: true })

const oneFailure: Counts = { passed: 0, failed: 1, skipped: 0 }
const total: Counts = { passed: 0, failed: 0, skipped: 0 }
const failures: string[] = []
/** How many tests were skipped for which reason. */
const skipReasons = new Map<string, number>()

for (const script of ['lint', 'typecheck', 'check:imports', 'check:unused'])
  stage(script, () => (npm(script) ? { passed: 1, failed: 0, skipped: 0 } : oneFailure))
stage('unit and integration tests', unitTests)
stage('browser tests', browserTests)

for (const title of failures) console.log(`failed: ${title}`)
for (const [reason, count] of [...skipReasons].sort((a, b) => b[1] - a[1]))
  console.log(`skipped: ${count} (${reason})`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exit(total.failed > 0 ? 1 : 0)

function stage(title: string, work: () => Counts): void {
  const started = Date.now()
  console.log(`\n── ${title}`)
  const counts = work()
  total.passed += counts.passed
  total.failed += counts.failed
  total.skipped += counts.skipped
  if (counts.failed > 0) failures.push(title)
  console.log(`── ${title}: ${((Date.now() - started) / 1000).toFixed(1)} s`)
}

function unitTests(): Counts {
  const report = join(reports, 'unit.json')
  const succeeded = npm('test:unit', ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`])
  const result = readReport(report) as {
    numPassedTests: number
    numFailedTests: number
    numPendingTests: number
    numTodoTests: number
    testResults: UnitFile[]
  } | null
  if (result === null) return oneFailure
  for (const reason of unitSkipReasons(result.testResults)) noteSkip(reason)
  const counts = {
    passed: result.numPassedTests,
    failed: result.numFailedTests,
    skipped: result.numPendingTests + result.numTodoTests,
  }
  return honest(counts, succeeded)
}

function browserTests(): Counts {
  const report = join(reports, 'browser.json')
  const environment = { PLAYWRIGHT_JSON_OUTPUT_NAME: join('..', report) }
  const chromium = findChromium()
  if (chromium === null) {
    console.log('There is no Chromium: install the Debian package chromium, or set RANKSCOPE_CHROMIUM.')
    if (process.env['CI'] === 'true') return oneFailure
    npm('test:browser', ['--list', '--reporter=json'], environment, true)
    const listed = readReport(report) as PlaywrightReport | null
    const skipped = listed === null ? 1 : countSpecs(listed.suites)
    noteSkip('there is no Chromium', skipped)
    return { passed: 0, failed: 0, skipped }
  }
  const succeeded = npm('test:browser', ['--reporter=list,json'], environment)
  const result = readReport(report) as PlaywrightReport | null
  if (result === null) return oneFailure
  const { expected, flaky, unexpected, skipped } = result.stats
  if (skipped > 0) noteSkip('skipped by a browser test', skipped)
  return honest({ passed: expected + flaky, failed: unexpected, skipped }, succeeded)
}

type Suite = { specs: unknown[]; suites?: Suite[] }
type PlaywrightReport = {
  stats: { expected: number; unexpected: number; flaky: number; skipped: number }
  suites: Suite[]
}

function countSpecs(suites: readonly Suite[]): number {
  return suites.reduce((sum, suite) => sum + suite.specs.length + countSpecs(suite.suites ?? []), 0)
}

/** A runner may fail without a failed test: a file that does not load, an error outside of all tests. */
function honest(counts: Counts, succeeded: boolean): Counts {
  return succeeded || counts.failed > 0 ? counts : { ...counts, failed: 1 }
}

function npm(script: string, args: string[] = [], environment = {}, quiet = false): boolean {
  const { status } = spawnSync('npm', ['run', '--silent', script, '--', ...args], {
    stdio: ['ignore', quiet ? 'ignore' : 'inherit', 'inherit'],
    env: { ...process.env, ...environment },
  })
  return status === 0
}

function noteSkip(reason: string, count = 1): void {
  skipReasons.set(reason, (skipReasons.get(reason) ?? 0) + count)
}

function readReport(file: string): unknown {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null
}
