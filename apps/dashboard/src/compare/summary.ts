/** The results of runs as columns, and the mean with spread of runs that repeat one configuration. Pure. */
import { figureMeta, type RunView, type SummaryFigure } from '@rankscope/protocol'
import { formatCount, formatDuration, formatNumber, formatPercent } from '../common/format.ts'
import { elapsedSeconds, runFigure, summaryFigure, tokensPerSecond } from '../runs/run-figures.ts'

export type SummaryColumn = {
  key: string
  title: string
  value: (run: RunView, nowMs: number) => number | null
  format: (value: number | null) => string
  /** Which end is better, to mark the best; null where neither is. */
  better: 'low' | 'high' | null
}

export const summaryColumns: readonly SummaryColumn[] = [
  {
    key: 'loss',
    title: 'Loss',
    value: (run) => runFigure(run, 'loss'),
    format: formatNumber,
    better: 'low',
  },
  {
    key: 'accuracy',
    title: 'Accuracy',
    value: (run) => runFigure(run, 'accuracy'),
    format: formatPercent,
    better: 'high',
  },
  {
    key: 'meanAccuracy',
    title: figureMeta('meanAccuracy')!.title,
    value: (run) => summaryFigure(run, 'meanAccuracy'),
    format: formatPercent,
    better: 'high',
  },
  fromSummary('effectiveRank'),
  fromSummary('stableRank'),
  fromSummary('numericalRank'),
  fromSummary('tailRatio'),
  fromSummary('frobenius'),
  fromSummary('forgetting'),
  {
    key: 'parameters',
    title: 'Trainable',
    value: (run) => run.start?.trainableParameters ?? summaryFigure(run, 'trainableParameters'),
    format: formatCount,
    better: null,
  },
  { key: 'speed', title: 'Tokens/s', value: tokensPerSecond, format: formatCount, better: 'high' },
  {
    key: 'training',
    title: 'Training',
    value: (run) => summaryFigure(run, 'trainingSeconds'),
    format: formatDuration,
    better: null,
  },
  // As the runs list and the run’s own page tell it: from start to end, everything included.
  { key: 'time', title: 'Time', value: elapsedSeconds, format: formatDuration, better: null },
]

function fromSummary(key: SummaryFigure): SummaryColumn {
  const title = figureMeta(key)!.title
  return { key, title, value: (run) => summaryFigure(run, key), format: formatNumber, better: null }
}

/** Mean and standard deviation (n − 1) of what is known; deviation null for fewer than two values. */
export function spread(values: readonly (number | null)[]): {
  mean: number | null
  deviation: number | null
} {
  const known = values.filter((value) => value !== null)
  if (known.length === 0) return { mean: null, deviation: null }
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length
  if (known.length < 2) return { mean, deviation: null }
  const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, deviation: Math.sqrt(squares / (known.length - 1)) }
}

/** Where the best value stands, at every place that has it; nowhere if there is nothing to win. */
export function bestPlaces(
  values: readonly (number | null)[],
  better: SummaryColumn['better'],
): ReadonlySet<number> {
  const known = values.filter((value) => value !== null && !Number.isNaN(value)) as number[]
  if (better === null || values.filter((value) => value !== null).length < 2 || known.length === 0)
    return new Set()
  const best = better === 'low' ? Math.min(...known) : Math.max(...known)
  const places = values.flatMap((value, index) => (value === best ? index : []))
  // All alike: nobody won.
  return new Set(places.length === values.length ? [] : places)
}
