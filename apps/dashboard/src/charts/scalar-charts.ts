/** The scalar charts of a run, in the order in which they are shown. Adding one is adding a row. */
import { type ScalarKey, scalars } from '@rankscope/protocol'

export type ScalarChartDefinition = {
  /** Short key in the address. */
  key: string
  name: string
  title: string
  yTitle: string
  help: string
  markers: boolean
  format: 'plain' | 'percent' | 'si'
  smoothed: boolean
  logY: boolean
  /** Shown while a run goes on, even before there is data; others appear with their first value. */
  always: boolean
  /** What a run without it lacks, in words. */
  what: string
}

/** Named as the protocol has it. */
function chartOf(scalar: ScalarKey): Omit<ScalarChartDefinition, 'key'> {
  const { name, title, unit, caution } = scalars[scalar]
  return {
    ...{ name, title, yTitle: unit, help: caution },
    ...{ markers: false, format: 'plain', smoothed: false, logY: false, always: true, what: 'value' },
  }
}

export const lossChart: ScalarChartDefinition = {
  ...chartOf('trainLoss'),
  key: 'loss',
  what: 'loss',
  smoothed: true,
}

export const accuracyChart: ScalarChartDefinition = {
  ...chartOf('accuracy'),
  key: 'accuracy',
  what: 'evaluation',
  markers: true,
  format: 'percent',
}

export const scalarCharts: readonly ScalarChartDefinition[] = [
  {
    ...chartOf('validationLoss'),
    key: 'validationLoss',
    markers: true,
    always: false,
  },
  {
    ...chartOf('meanAccuracy'),
    key: 'meanAccuracy',
    what: 'evaluation',
    markers: true,
    format: 'percent',
    always: false,
  },
  {
    ...chartOf('validationAccuracy'),
    key: 'validationAccuracy',
    markers: true,
    format: 'percent',
    always: false,
  },
  {
    ...chartOf('evaluationLoss'),
    key: 'evalLoss',
    what: 'evaluation',
    markers: true,
  },
  {
    ...chartOf('untouchedLoss'),
    key: 'untouched',
    what: 'measurement of forgetting',
    markers: true,
    always: false,
  },
  {
    ...chartOf('learningRate'),
    key: 'lr',
  },
  {
    ...chartOf('gradNorm'),
    key: 'grad',
    smoothed: true,
    logY: true,
  },
  {
    ...chartOf('tokensPerSecond'),
    key: 'speed',
    format: 'si',
    smoothed: true,
  },
  {
    ...chartOf('updateNorm'),
    key: 'update',
    smoothed: true,
    logY: true,
    always: false,
  },
  {
    ...chartOf('residentMemoryBytes'),
    key: 'memory',
    format: 'si',
    always: false,
  },
  {
    ...chartOf('receivedBytes'),
    key: 'received',
    format: 'si',
    always: false,
  },
]
