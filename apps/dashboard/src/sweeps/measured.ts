/** What can be read from the runs of a sweep, with its name for people. Pure. */
import { metricRules, type RunResult } from '@rankscope/experiments'
import type { SelectionMetric, SweepSpec } from '@rankscope/protocol'
import type { Measured } from './sweep-figures.ts'

const titles: Readonly<Record<string, string>> = {
  frobenius: '‖ΔW‖_F',
  effectiveRank: 'Effective rank',
  stableRank: 'Stable rank',
  numericalRank: 'Numerical rank',
  tailRatio: 'Tail ratio',
  finalLoss: 'Training loss at the end',
  evaluationLoss: 'Test loss',
  validationLoss: 'Validation loss',
  accuracy: 'Test accuracy',
  meanAccuracy: 'Mean over benchmarks',
  validationAccuracy: 'Validation accuracy',
  validationMeanAccuracy: 'Validation mean over sources',
  baseAccuracy: 'Accuracy before training',
  forgetting: 'Forgetting (nats per token)',
  trainingSeconds: 'Training time (s)',
  tokensPerSecond: 'Tokens/s',
  trainableParameters: 'Trainable parameters',
}
const percents: readonly string[] = [
  'accuracy',
  'meanAccuracy',
  'validationAccuracy',
  'validationMeanAccuracy',
  'baseAccuracy',
]

export function measuredOf(name: string): Measured {
  return {
    title: titles[name] ?? name,
    value: (result) => result.measures[name] ?? null,
    ...(percents.includes(name) ? { percent: true } : {}),
  }
}

/** Measures of which at least one run has a value: the sweep’s own metric first. */
export function availableMeasures(results: readonly RunResult[], metric: SelectionMetric): string[] {
  const { test, validation } = metricRules[metric]
  const present = new Set(
    results.flatMap(({ measures }) => Object.keys(measures).filter((name) => measures[name] !== null)),
  )
  const order = [test, validation, ...Object.keys(titles)]
  return [...new Set([test, ...order.filter((name) => present.has(name)), ...present])].filter(
    (name) => name in titles,
  )
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
