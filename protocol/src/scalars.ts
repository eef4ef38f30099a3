/**
 * The scalars that a node emits, declared once: name, what charts call it, its unit and what it tells. One of a module has
 * `/MODULE` behind its name.
 */

export type ScalarMeta = {
  /** As it is in records and stored. */
  name: string
  title: string
  /** What its axis says; of pure numbers what is counted. */
  unit: string
  caution: string
}

export const scalars = {
  trainLoss: {
    name: 'train/loss',
    title: 'Training loss',
    unit: 'nats per token',
    caution: 'Mean cross-entropy of each optimiser step: the raw values faint, their moving average on top.',
  },
  learningRate: {
    name: 'train/learningRate',
    title: 'Learning rate',
    unit: 'learning rate',
    caution: 'What the schedule gave the optimiser at each step.',
  },
  gradNorm: {
    name: 'train/gradNorm',
    title: 'Gradient norm',
    unit: 'global 2-norm',
    caution:
      'Norm over all trained parameters, before clipping. Not comparable across methods: they train different parameters.',
  },
  updateNorm: {
    name: 'train/updateNorm',
    title: 'Update norm',
    unit: '‖ΔW_t‖_F of one step',
    caution: 'Size of each step’s change over the watched modules.',
  },
  tokensPerSecond: {
    name: 'train/tokensPerSecond',
    title: 'Speed',
    unit: 'tokens/s',
    caution: 'Non-padding tokens per second of training, evaluation not counted.',
  },
  stepTimeMs: {
    name: 'train/stepTimeMs',
    title: 'Step time',
    unit: 'ms',
    caution: 'Of one optimiser step, evaluation and checkpoints not counted.',
  },
  tokens: {
    name: 'train/tokens',
    title: 'Tokens',
    unit: 'tokens seen',
    caution: 'Non-padding tokens since the first step.',
  },
  epoch: {
    name: 'train/epoch',
    title: 'Epoch',
    unit: 'passes over the training data',
    caution: 'Examples drawn so far over examples there are.',
  },
  evaluationLoss: {
    name: 'eval/loss',
    title: 'Test loss',
    unit: 'nats per token',
    caution: 'Cross-entropy on the test split.',
  },
  accuracy: {
    name: 'eval/accuracy',
    title: 'Test accuracy',
    unit: 'exact matches',
    caution: 'Share of test prompts whose greedy completion matches the reference answer.',
  },
  meanAccuracy: {
    name: 'eval/meanAccuracy',
    title: 'Mean over benchmarks',
    unit: 'share of right answers',
    caution: 'Accuracy averaged over sources and benchmarks, each counting the same whatever its size.',
  },
  validationLoss: {
    name: 'validation/loss',
    title: 'Validation loss',
    unit: 'nats per token',
    caution:
      'Cross-entropy on the validation split: examples that are neither trained on nor in the final score.',
  },
  validationAccuracy: {
    name: 'validation/accuracy',
    title: 'Validation accuracy',
    unit: 'exact matches',
    caution: 'Share of validation prompts whose greedy completion matches the reference answer.',
  },
  untouchedLoss: {
    name: 'untouched/loss',
    title: 'Loss on untouched text',
    unit: 'nats per token',
    caution:
      'Cross-entropy on text that training does not touch, before and after: the rise is what was forgotten.',
  },
  residentMemoryBytes: {
    name: 'system/residentMemoryBytes',
    title: 'Memory',
    unit: 'resident memory, bytes',
    caution: 'Resident memory of the run’s process.',
  },
  receivedBytes: {
    name: 'system/receivedBytes',
    title: 'Communication',
    unit: 'bytes received per step',
    caution: 'What one process received from the others in a step; of runs with a process per device.',
  },
  spectraOvertaken: {
    name: 'spectra/overtaken',
    title: 'Spectra overtaken',
    unit: 'snapshots since the start',
    caution: 'Of a module: snapshots that were due and left out, since a newer one came while they waited.',
  },
  spectraFailed: {
    name: 'spectra/failed',
    title: 'Spectra failed',
    unit: 'snapshots since the start',
    caution: 'Of a module: snapshots that were due and could not be decomposed.',
  },
  spectraUnfinished: {
    name: 'spectra/unfinished',
    title: 'Spectra unfinished',
    unit: 'snapshots since the start',
    caution: 'Of a module: snapshots that were due when the run ended before them.',
  },
  analysesPutOff: {
    name: 'analyses/putOff',
    title: 'Analyses put off',
    unit: 'spectra since the start',
    caution:
      'Of a module: spectra that were not analysed against W, since analyses have a share of the time.',
  },
} as const satisfies Record<string, ScalarMeta>

export type ScalarKey = keyof typeof scalars

/** Their names alone. */
export const scalarNames = Object.fromEntries(
  Object.entries(scalars).map(([key, { name }]) => [key, name]),
) as { readonly [Key in ScalarKey]: (typeof scalars)[Key]['name'] }
