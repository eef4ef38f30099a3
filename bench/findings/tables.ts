/** What docs/findings.md asks of a sweep over learning rates, as tables. Pure. */
import {
  bestSettings,
  type Estimate,
  estimate,
  lineOf,
  linesIn,
  pairedDifference,
  type RunResult,
  settingText,
  spearman,
  type Table,
  valuesAt,
} from '@rankscope/experiments'
import type { SweepSpec } from '@rankscope/protocol'

const loss = 'evaluationLoss'

/** Further measures of each line at its best setting. */
export function atBest(spec: SweepSpec, results: readonly RunResult[]): Table {
  const measures: [string, string, number][] = [
    ['accuracy', 'Test accuracy (%)', 100],
    ['forgetting', 'Forgetting (nats per token)', 1],
    ['frobenius', '‖ΔW‖_F', 1],
    ['effectiveRank', 'Effective rank', 1],
    ['stableRank', 'Stable rank', 1],
    ['trainingSeconds', 'Training time (s)', 1],
  ]
  return {
    columns: ['Line', 'Learning rate', ...measures.map(([, title]) => title)],
    rows: bestSettings(results, spec.metric).map(({ setting }) => [
      setting.line,
      settingText(setting.point['optimizer.learningRate'] ?? null),
      ...measures.map(([name, , scale]) => estimateOf(setting.results, name, scale)),
    ]),
    numeric: [false, true, ...measures.map(() => true)],
    caption:
      'Means ± half the width of the 95 % interval over seeds. Norm and ranks are means over the target modules; times are of a machine that did other things, too.',
  }
}

/** Test loss of every line at every rate: what a comparison at one rate would have found. */
export function atOneRate(results: readonly RunResult[], path: string): Table {
  const rates = numbersAt(results, path)
  return {
    columns: ['Line', ...rates.map((rate) => settingText(rate))],
    rows: linesIn(results).map((line) => [
      line,
      ...rates.map((rate) => estimateOf(at(results, line, path, rate), loss, 1)),
    ]),
    numeric: [false, ...rates.map(() => true)],
    caption: 'Test loss (nats per token), mean ± half the width of the 95 % interval over seeds.',
  }
}

/**
 * HD-PiSSA summed at a rate beside averaged at K times that rate: to first order the same update (METHODS: `mean` is `sum`
 * divided by K). Paired over seeds.
 */
export function matchedNorms(results: readonly RunResult[], path: string, devices = 4): Table {
  const [sum, mean] = ['HD-PiSSA, sum', 'HD-PiSSA, mean']
  const rates = numbersAt(results, path)
  const rows = rates.flatMap((rate) => {
    const partner = rates.find((other) => Math.abs(Math.log(other / (devices * rate))) < 0.05)
    if (partner === undefined) return []
    const [summed, averaged] = [at(results, sum!, path, rate), at(results, mean!, path, partner)]
    return [
      [
        `${settingText(rate)}, ${settingText(partner)}`,
        estimateOf(summed, 'frobenius', 1),
        estimateOf(averaged, 'frobenius', 1),
        estimateOf(summed, loss, 1),
        estimateOf(averaged, loss, 1),
        estimateText(pairedDifference(bySeed(summed, loss), bySeed(averaged, loss))),
      ],
    ]
  })
  return {
    columns: ['Rates of sum, mean', '‖ΔW‖_F of sum', 'of mean', 'Test loss of sum', 'of mean', 'Sum − mean'],
    rows,
    numeric: [false, true, true, true, true, true],
    caption: `Rates ${devices} times apart (at most 4 % from that); differences are paired over seeds.`,
  }
}

/** Spearman’s correlation of test loss and forgetting with norm and ranks. */
export function correlations(results: readonly RunResult[]): Table {
  const finished = results.filter(({ outcome }) => outcome === 'finished')
  const predictors: [string, string][] = [
    ['frobenius', '‖ΔW‖_F'],
    ['effectiveRank', 'effective rank'],
    ['stableRank', 'stable rank'],
  ]
  const targets: [string, string][] = [
    [loss, 'test loss'],
    ['forgetting', 'forgetting'],
  ]
  const columns = targets.flatMap(([target, what]) =>
    predictors.map(([predictor, by]) => ({ target, predictor, title: `${what}, ${by}` })),
  )
  const row = (name: string, own: readonly RunResult[]) => [
    name,
    String(own.length),
    ...columns.map(({ target, predictor }) => {
      const pairs = own.flatMap(({ measures }) => {
        const [x, y] = [measures[predictor], measures[target]]
        return typeof x === 'number' && typeof y === 'number' ? [[x, y] as const] : []
      })
      return spearman(pairs)?.toFixed(2).replace('-', '−') ?? ''
    }),
  ]
  return {
    columns: ['Runs', 'n', ...columns.map(({ title }) => title)],
    rows: [
      row('all', finished),
      ...linesIn(finished).map((line) =>
        row(
          line,
          finished.filter((result) => lineOf(result) === line),
        ),
      ),
    ],
    numeric: [false, true, ...columns.map(() => true)],
    caption:
      'Spearman’s ρ over finished runs, all rates and seeds: +1 where more of one always goes with more of the other.',
  }
}

function at(results: readonly RunResult[], line: string, path: string, value: number): RunResult[] {
  return results.filter((result) => lineOf(result) === line && result.point[path] === value)
}

function numbersAt(results: readonly RunResult[], path: string): number[] {
  return valuesAt(results, path)
    .filter((value) => typeof value === 'number')
    .sort((one, other) => one - other)
}

function bySeed(results: readonly RunResult[], measure: string): Map<string, number> {
  return new Map(
    results.flatMap(({ seed, outcome, measures }) => {
      const value = measures[measure]
      return outcome === 'finished' && typeof value === 'number' ? [[String(seed), value] as const] : []
    }),
  )
}

/** Marked where runs are missing from it. */
function estimateOf(results: readonly RunResult[], measure: string, scale: number): string {
  const values = [...bySeed(results, measure).values()]
  const lost = results.length - values.length
  return `${estimateText(estimate(values.map((value) => scale * value)))}${lost > 0 ? ` (${lost} lost)` : ''}`.trim()
}

function estimateText(found: Estimate | null): string {
  if (found === null) return ''
  const number = (value: number) => Number(value.toPrecision(3)).toString().replace('-', '−')
  return found.halfWidth === null
    ? number(found.mean)
    : `${number(found.mean)} ± ${Number(found.halfWidth.toPrecision(2))}`
}
