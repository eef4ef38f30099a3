/** The results of runs as columns, and the mean with spread of runs that repeat one configuration. Pure. */
import type { RunView } from '@rankscope/protocol'
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
    title: 'Final loss',
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
  fromSummary('effectiveRank', 'Effective rank'),
  fromSummary('stableRank', 'Stable rank'),
  fromSummary('numericalRank', 'Numerical rank'),
  fromSummary('tailRatio', 'Tail ratio'),
  fromSummary('frobenius', '‖ΔW‖_F'),
  {
    key: 'parameters',
    title: 'Trainable',
    value: (run) => run.start?.trainableParameters ?? summaryFigure(run, 'trainableParameters'),
    format: formatCount,
    better: null,
  },
  { key: 'speed', title: 'Tokens/s', value: tokensPerSecond, format: formatCount, better: 'high' },
  {
    key: 'time',
    title: 'Time',
    value: (run, nowMs) => summaryFigure(run, 'trainingSeconds') ?? elapsedSeconds(run, nowMs),
    format: formatDuration,
    better: null,
  },
]

function fromSummary(key: string, title: string): SummaryColumn {
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

/** Index of the best value, or null where there is nothing to win. */
export function bestIndex(
  values: readonly (number | null)[],
  better: SummaryColumn['better'],
): number | null {
  if (better === null) return null
  let best: number | null = null
  values.forEach((value, index) => {
    if (value === null || Number.isNaN(value)) return
    const champion = best === null ? null : values[best]!
    if (champion === null || (better === 'low' ? value < champion : value > champion)) best = index
  })
  return values.filter((value) => value !== null).length > 1 ? best : null
}
