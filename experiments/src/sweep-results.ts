/** What each run of a sweep came to, from the views of the server or the files of the command line. Pure. */
import type { MethodName, RunView, SelectionMetric, SettingValue, SweepPoint } from '@rankscope/protocol'

/**
 * finished: it has what it was asked for. diverged: it ended, or was ended, by a number that is not finite.
 * failed: it ended otherwise than it should. pending: nothing can be said yet.
 */
export type Outcome = 'finished' | 'diverged' | 'failed' | 'pending'

export type RunResult = {
  runId: string
  method: MethodName
  point: SweepPoint
  seed: number
  outcome: Outcome
  /** By which settings are chosen; null where the run has no validation data, or no result yet. */
  validation: number | null
  /** Which is reported. */
  test: number | null
  /** Further measures by their name in the summary: frobenius, effectiveRank, finalLoss, … */
  measures: Readonly<Record<string, number | null>>
}

/** How a metric is read from a summary, which end of it is better, and how it is written: shares in percent. */
export const metricRules = {
  accuracy: {
    validation: 'validationAccuracy',
    test: 'accuracy',
    better: 'high',
    title: 'Accuracy',
    word: 'accuracy',
    isShare: true,
  },
  meanAccuracy: {
    validation: 'validationMeanAccuracy',
    test: 'meanAccuracy',
    better: 'high',
    title: 'Mean over benchmarks',
    word: 'mean over benchmarks',
    isShare: true,
  },
  loss: {
    validation: 'validationLoss',
    test: 'evaluationLoss',
    better: 'low',
    title: 'Test loss',
    word: 'loss',
    isShare: false,
  },
} as const satisfies Record<SelectionMetric, object>

type Described = Pick<RunView, 'runId' | 'state' | 'config' | 'summary'> & {
  error: { code: string } | null
}

export function runResult(run: Described, point: SweepPoint, metric: SelectionMetric): RunResult {
  const measures = Object.fromEntries(
    Object.entries(run.summary ?? {}).map(([name, value]) => [name, finiteOrNull(value)]),
  )
  const rule = metricRules[metric]
  const raw = run.summary?.[rule.test]
  return {
    runId: run.runId,
    method: run.config.method.name,
    point,
    seed: run.config.seed,
    outcome: outcomeOf(run, raw),
    validation: measures[rule.validation] ?? null,
    test: measures[rule.test] ?? null,
    measures,
  }
}

function outcomeOf(run: Described, test: unknown): Outcome {
  switch (run.state) {
    case 'finished': {
      const loss = run.summary?.['finalLoss']
      return isNonFinite(test) || isNonFinite(loss) ? 'diverged' : 'finished'
    }
    case 'failed':
      return run.error?.code === 'NUMERIC' ? 'diverged' : 'failed'
    case 'stopped':
      return 'failed'
    case 'queued':
    case 'assigned':
    case 'running':
    case 'pausing':
    case 'paused':
    case 'stopping':
    case 'lost':
      return 'pending'
    default:
      return run.state satisfies never
  }
}

/** JSON spells NaN and the infinities as words. */
function isNonFinite(value: unknown): boolean {
  return typeof value === 'string' || (typeof value === 'number' && !Number.isFinite(value))
}

function finiteOrNull(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

/** The setting of a result: its point without the seed. */
export function settingOf(point: SweepPoint): SweepPoint {
  return Object.fromEntries(Object.entries(point).filter(([path]) => path !== 'seed'))
}

/** The values that a path takes among results, in the order of appearance. */
export function valuesAt(results: readonly RunResult[], path: string): SettingValue[] {
  const values = results.flatMap(({ point }) => (path in point ? [point[path]!] : []))
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()]
}
