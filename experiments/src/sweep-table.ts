/** A sweep's results as tables: each line at its best, and every run. Pure. */
import type { SelectionMetric, SweepSpec } from '@rankscope/protocol'
import { settingText } from './axis-text.ts'
import { type ComparedLine, compareLines } from './compare-settings.ts'
import type { Estimate } from './statistics.ts'
import { isChoice, lineOf, linesIn } from './sweep-lines.ts'
import { metricRules, type RunResult } from './sweep-results.ts'
import type { Table } from './tables.ts'

/** `71.3 ± 2.4` with a 95 % interval; accuracies in percent. */
export function estimateText(estimate: Estimate | null, metric: SelectionMetric): string {
  if (!estimate) return ''
  const number = (value: number) => metricText(value, metric)
  return estimate.halfWidth === null
    ? number(estimate.mean)
    : `${number(estimate.mean)} ± ${number(estimate.halfWidth)}`
}

function metricText(value: number, metric: SelectionMetric): string {
  const text = metricRules[metric].isShare ? (100 * value).toFixed(1) : value.toPrecision(4)
  // Never a minus before nothing.
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−')
}

/** One row per line: its best setting, chosen on validation data, and what it reaches on test data. */
export function bestTable(
  spec: SweepSpec,
  results: readonly RunResult[],
  baseline: string | null = null,
): Table {
  const { metric } = spec
  const compared = compareLines(results, metric, baseline)
  // What tells lines apart stands in their names.
  const paths = [
    ...new Set(
      compared.flatMap(({ setting }) =>
        Object.keys(setting.point).filter(
          (path) => path !== 'method' && !isChoice(path, setting.point[path]),
        ),
      ),
    ),
  ]
  const { isShare, word } = metricRules[metric]
  const unit = isShare ? ' (%)' : ''
  const byValidation = compared.every((each) => each.byValidation)
  return {
    columns: [
      'Method',
      ...paths.map(shortPath),
      `Validation ${word}${unit}`,
      `Test ${word}${unit}`,
      'n',
      `Difference to ${compared.find(({ difference }) => difference === null)?.line ?? 'the first'}`,
      'Diverged, failed',
    ],
    rows: [
      ...compared.map((each) => bestRow(each, paths, metric, results)),
      // A line of which nothing finished is told, too.
      ...linesWithout(compared, results).map((line) => [
        line,
        ...paths.map(() => ''),
        ...['', '', '0', ''],
        lossesText(line, results),
      ]),
    ],
    numeric: [false, ...paths.map(() => true), true, true, true, true, true],
    caption: [
      `${spec.name}: ${metricRules[metric].title.toLowerCase()}, mean ± half the width of the 95 % interval over n seeds (Student); differences are paired over seeds.`,
      byValidation
        ? 'Settings were chosen on validation data and are reported on test data.'
        : 'There was no validation data: settings were chosen by the test data that is reported, which flatters them.',
      'Diverged and failed runs are counted over all settings.',
    ].join(' '),
  }
}

function bestRow(
  { line, setting, difference, ties, isComplete }: ComparedLine,
  paths: readonly string[],
  metric: SelectionMetric,
  results: readonly RunResult[],
): string[] {
  const marks = `${ties.length > 0 ? ' (tie)' : ''}${isComplete ? '' : ' (incomplete)'}`
  return [
    `${line}${marks}`,
    ...paths.map((path) => (path in setting.point ? settingText(setting.point[path]!) : '')),
    estimateText(setting.validation, metric),
    estimateText(setting.test, metric),
    String(setting.test?.n ?? 0),
    estimateText(difference, metric),
    lossesText(line, results),
  ]
}

function linesWithout(compared: readonly ComparedLine[], results: readonly RunResult[]): string[] {
  return linesIn(results).filter((line) => compared.every((each) => each.line !== line))
}

/** `2, 1`: how many runs of a line diverged, and how many failed. */
function lossesText(line: string, results: readonly RunResult[]): string {
  const count = (outcome: RunResult['outcome']) =>
    results.filter((result) => lineOf(result) === line && result.outcome === outcome).length
  return `${count('diverged')}, ${count('failed')}`
}

/** One row per run, with every measure of its summary. */
export function runsTable(spec: SweepSpec, results: readonly RunResult[]): Table {
  const paths = spec.axes.map(({ path }) => path)
  const measures = [...new Set(results.flatMap((result) => Object.keys(result.measures)))]
  return {
    columns: [
      'run',
      'method',
      'seed',
      ...paths.filter((path) => path !== 'method' && path !== 'seed'),
      'outcome',
      ...measures,
    ],
    rows: results.map((result) => [
      result.runId,
      result.method,
      String(result.seed),
      ...paths
        .filter((path) => path !== 'method' && path !== 'seed')
        .map((path) => (path in result.point ? settingText(result.point[path]!) : '')),
      result.outcome,
      ...measures.map((name) => {
        const value = result.measures[name]
        return value === null || value === undefined ? '' : String(value)
      }),
    ]),
  }
}

function shortPath(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1)
}
