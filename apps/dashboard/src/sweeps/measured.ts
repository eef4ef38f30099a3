/** What can be read from the runs of a sweep, with its name for people. Pure. */
import { metricRules, type RunResult } from '@rankscope/experiments'
import {
  figureLabel,
  figureMeta,
  type SelectionMetric,
  type SweepSpec,
  summaryFigureNames,
} from '@rankscope/protocol'
import type { Measured } from './sweep-figures.ts'

/** In the order of a choice; what a run was given to do is no result. */
const offered: readonly string[] = summaryFigureNames.filter(
  (name) => !['steps', 'tokens', 'untouchedLoss', 'receivedBytesPerStep'].includes(name),
)

export function measuredOf(name: string): Measured {
  return {
    title: figureLabel(name),
    value: (result) => result.measures[name] ?? null,
    ...(figureMeta(name)?.isShare ? { percent: true } : {}),
  }
}

/** Measures of which at least one run has a value: the sweep’s own metric first. */
export function availableMeasures(results: readonly RunResult[], metric: SelectionMetric): string[] {
  const { test, validation } = metricRules[metric]
  const present = new Set(
    results.flatMap(({ measures }) => Object.keys(measures).filter((name) => measures[name] !== null)),
  )
  return [...new Set([test, ...[validation, ...offered].filter((name) => present.has(name))])]
}

export function measureChoices(names: readonly string[]) {
  return names.map((value) => ({ value, label: measuredOf(value).title }))
}

/** For the caption of a saved chart. */
export function sweepFacts(spec: SweepSpec, results: readonly RunResult[]): string[] {
  const finished = results.filter(({ outcome }) => outcome === 'finished')
  const seeds = new Set(finished.map(({ seed }) => seed)).size
  const steps = new Set(finished.flatMap(({ measures }) => measures['steps'] ?? []))
  return [
    `sweep ${spec.name}`,
    `n = ${finished.length} finished runs of ${results.length}, ${seeds} ${seeds === 1 ? 'seed' : 'seeds'}`,
    'all target modules',
    steps.size === 1 ? `step ${[...steps][0]}` : 'the last step of each run',
  ]
}
