/** The scalar charts of a run, in the order in which they are shown. Adding one is adding a row. */
import { scalarNames } from '@rankscope/protocol'

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

const plain: Pick<ScalarChartDefinition, 'markers' | 'format' | 'smoothed' | 'logY' | 'always' | 'what'> = {
  markers: false,
  format: 'plain',
  smoothed: false,
  logY: false,
  always: true,
  what: 'value',
}

export const lossChart: ScalarChartDefinition = {
  ...plain,
  key: 'loss',
  name: scalarNames.trainLoss,
  title: 'Training loss',
  yTitle: 'nats per token',
  what: 'loss',
  help: 'Mean cross-entropy of each optimiser step: the raw values faint, their moving average on top.',
  smoothed: true,
}

export const accuracyChart: ScalarChartDefinition = {
  ...plain,
  key: 'accuracy',
  name: scalarNames.accuracy,
  title: 'Test accuracy',
  yTitle: 'exact matches',
  what: 'evaluation',
  help: 'Share of test prompts whose greedy completion matches the reference answer.',
  markers: true,
  format: 'percent',
}

export const scalarCharts: readonly ScalarChartDefinition[] = [
  {
    ...plain,
    key: 'validationLoss',
    name: scalarNames.validationLoss,
    title: 'Validation loss',
    yTitle: 'nats per token',
    help: 'Cross-entropy on the validation split: examples that are neither trained on nor in the final score.',
    markers: true,
    always: false,
  },
  {
    ...plain,
    key: 'meanAccuracy',
    name: scalarNames.meanAccuracy,
    title: 'Mean over benchmarks',
    yTitle: 'share of right answers',
    what: 'evaluation',
    help: 'Accuracy averaged over sources and benchmarks, each counting the same whatever its size.',
    markers: true,
    format: 'percent',
    always: false,
  },
  {
    ...plain,
    key: 'validationAccuracy',
    name: scalarNames.validationAccuracy,
    title: 'Validation accuracy',
    yTitle: 'exact matches',
    help: 'Share of validation prompts whose greedy completion matches the reference answer.',
    markers: true,
    format: 'percent',
    always: false,
  },
  {
    ...plain,
    key: 'evalLoss',
    name: scalarNames.evaluationLoss,
    title: 'Test loss',
    yTitle: 'nats per token',
    what: 'evaluation',
    help: 'Cross-entropy on the test split.',
    markers: true,
  },
  {
    ...plain,
    key: 'untouched',
    name: scalarNames.untouchedLoss,
    title: 'Loss on untouched text',
    yTitle: 'nats per token',
    what: 'measurement of forgetting',
    help: 'Cross-entropy on text that training does not touch, before and after: the rise is what was forgotten.',
    markers: true,
    always: false,
  },
  {
    ...plain,
    key: 'lr',
    name: scalarNames.learningRate,
    title: 'Learning rate',
    yTitle: 'learning rate',
    help: 'What the schedule gave the optimiser at each step.',
  },
  {
    ...plain,
    key: 'grad',
    name: scalarNames.gradNorm,
    title: 'Gradient norm',
    yTitle: 'global 2-norm',
    help: 'Norm over all trained parameters, before clipping. Not comparable across methods: they train different parameters.',
    smoothed: true,
    logY: true,
  },
  {
    ...plain,
    key: 'speed',
    name: scalarNames.tokensPerSecond,
    title: 'Speed',
    yTitle: 'tokens/s',
    format: 'si',
    help: 'Non-padding tokens per second of training, evaluation not counted.',
    smoothed: true,
  },
  {
    ...plain,
    key: 'update',
    name: scalarNames.updateNorm,
    title: 'Update norm',
    yTitle: '‖ΔW_t‖_F of one step',
    help: 'Size of each step’s change over the watched modules.',
    smoothed: true,
    logY: true,
    always: false,
  },
  {
    ...plain,
    key: 'memory',
    name: scalarNames.residentMemoryBytes,
    title: 'Memory',
    yTitle: 'resident memory, bytes',
    format: 'si',
    help: 'Resident memory of the run’s process.',
    always: false,
  },
  {
    ...plain,
    key: 'received',
    name: scalarNames.receivedBytes,
    title: 'Communication',
    yTitle: 'bytes received per step',
    format: 'si',
    help: 'What one process received from the others in a step; of runs with a process per device.',
    always: false,
  },
]
