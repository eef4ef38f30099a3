/**
 * What a recipe is: an experiment of the paper (arXiv 2505.18777), or one beside it, as a sweep that can be launched.
 * Each has two scales. `full` repeats the paper’s setting; model and data are the reader’s, and `asks` says what has to be
 * named. `small` is the same experiment with the built-in model and tasks, in minutes on two cores: it can be tried, and
 * shows what the experiment looks like, but its numbers do not compare with the paper’s.
 */
import type { RunConfigInput, SweepSpec } from '@rankscope/protocol'
import type { Table } from '../tables.ts'

export type Ask = {
  /** Under which the answer is given, e.g. `model` or `mathTest`. */
  key: string
  /** A folder of a model, or a file of data, as the node offers them. */
  kind: 'model' | 'data'
  title: string
  /** What it should be. */
  hint: string
}

/** The answers to what a recipe asks, by key. */
export type Files = Readonly<Record<string, string>>

export type Recipe = {
  id: string
  /** `Figure 3`, `Table 1 (Llama)`; of recipes beyond the paper what they are about. */
  of: string
  title: string
  /** Three sentences: what the paper did. */
  says: string
  /** Which reading of the paper is taken where it is unclear, and what is left out here. */
  reading: string
  asks: readonly Ask[]
  /** What it costs at full scale, and on what. */
  cost: string
  /** About how many minutes the small scale takes on two cores. */
  smallMinutes: number
  /** What to look at, and what is compared. */
  compare: string
  /** The paper’s own numbers; null where it has a picture only. */
  paper: Table | null
  full: (files: Files) => SweepSpec
  small: () => SweepSpec
}

type Settings = Record<string, unknown>

/** Common settings of the paper (its Table 4); what differs per method follows its own setting (`ownSettings`). */
export const paperBase = {
  seed: 42,
  schedule: { kind: 'cosine', warmupRatio: 0.03 },
  optimizer: { learningRate: 2e-5 },
  parallel: { devices: 8 },
  training: {
    epochs: 1,
    globalBatchSize: 128,
    microBatchSize: 2,
    computeDtype: 'float32',
    products: 'float32',
  },
  spectra: { everySteps: 500, atEnd: false },
} as const satisfies Partial<RunConfigInput>

/** Records that are scored by a benchmark’s rules. */
export function records(
  path: string | undefined,
  test: string | undefined,
  scorer: 'gsm8k' | 'math' | 'commonsense' | 'exact',
) {
  return {
    source: { kind: 'records', path: path ?? '', evaluationPath: test ?? null, scorer },
    template: 'alpaca',
    maxLength: 512,
  }
}

/** The paper’s setting for mathematics, scored by all questions of GSM8K. */
export function mathBase(files: Files, evaluation: Settings = {}) {
  return {
    ...paperBase,
    model: { path: files['model'] },
    data: records(files['math'], files['mathTest'], 'gsm8k'),
    evaluation: { examples: 1319, maxNewTokens: 1024, ...evaluation },
  }
}

/** The paper’s setting for code: three epochs, both code benchmarks every 500 steps. */
export function codeBase(files: Files) {
  return {
    ...paperBase,
    model: { path: files['model'] },
    data: records(files['code'], undefined, 'exact'),
    training: { ...paperBase.training, epochs: 3 },
    evaluation: {
      everySteps: 500,
      examples: 1000,
      benchmarks: [
        { name: 'humaneval', path: files['humaneval'] ?? '' },
        { name: 'mbpp', path: files['mbpp'] ?? '' },
      ],
    },
  }
}

/**
 * HD-PiSSA and its ablations ran in the released code (no clipping, warm-up rounded down, updates summed over devices), the
 * baselines in the Hugging Face Trainer (gradient norm clipped at 1, warm-up rounded up).
 */
export function ownSettings(
  settings: { rank?: number; alpha?: number; dropout?: number } = {},
): SweepSpec['methods'] {
  const trainer = { optimizer: { maxGradNorm: 1 }, schedule: { warmupRounding: 'ceil' } }
  const released = { optimizer: { maxGradNorm: null }, schedule: { warmupRounding: 'floor' } }
  const { rank, alpha, dropout } = settings
  const size = { ...(rank === undefined ? {} : { rank }), ...(alpha === undefined ? {} : { alpha }) }
  const drop = dropout === undefined ? {} : { dropout }
  const { alpha: _, ...rankOnly } = size
  return {
    full: trainer,
    lora: { ...trainer, method: { ...size, ...drop } },
    pissa: { ...trainer, method: size },
    dora: { ...trainer, method: { ...size, ...drop } },
    mora: { ...trainer, method: { ...rankOnly, ...drop } },
    hira: { ...trainer, method: { ...rankOnly, ...drop } },
    'hd-pissa': { ...released, method: { ...size, ...drop, aggregate: 'sum' } },
    'lora-dwu': { ...released, method: { ...size, aggregate: 'sum' } },
  }
}

/** The built-in model on a built-in task: 96 steps of 16 examples. */
export const smallBase = {
  model: { path: 'rankscope-mini' },
  data: {
    source: { kind: 'task', task: 'arithmetic', trainExamples: 1536, evaluationExamples: 128 },
    template: 'plain',
    maxLength: 128,
  },
  seed: 1,
  schedule: { kind: 'cosine', warmupRatio: 0.03 },
  parallel: { devices: 4 },
  training: { epochs: 1, globalBatchSize: 16, microBatchSize: 4 },
  evaluation: { examples: 128, maxNewTokens: 40, samples: 4 },
  spectra: { everySteps: 16, atEnd: true },
} as const satisfies Omit<RunConfigInput, 'method'>

/** Rates of the built-in comparison: about the best of each on the built-in task. */
export const smallMethods = {
  lora: { optimizer: { learningRate: 1e-2 }, method: { rank: 4 } },
  pissa: { optimizer: { learningRate: 1e-2 }, method: { rank: 4 } },
  'hd-pissa': { optimizer: { learningRate: 4e-3 }, method: { rank: 4, aggregate: 'sum' } },
  full: { optimizer: { learningRate: 2e-3 } },
  'lora-dwu': { optimizer: { learningRate: 4e-3 }, method: { rank: 4, aggregate: 'sum' } },
  dora: { optimizer: { learningRate: 1e-2 }, method: { rank: 4 } },
  mora: { optimizer: { learningRate: 1e-2 }, method: { rank: 4 } },
  hira: { optimizer: { learningRate: 1e-2 }, method: { rank: 4 } },
} as const satisfies SweepSpec['methods']

/** Recipes are plain: what a schema would fill in is filled in here. */
export function sweep(
  spec: Omit<SweepSpec, 'methods' | 'sample' | 'metric' | 'recipe'> & Partial<SweepSpec>,
): SweepSpec {
  return { methods: {}, sample: null, metric: 'accuracy', recipe: null, ...spec }
}

/** The same experiment on the built-in model; `base` says what differs from the usual small setting. */
export function smallSweep(name: string, axes: SweepSpec['axes'], over: Partial<SweepSpec> = {}): SweepSpec {
  return sweep({ name: `${name}, small`, base: smallBase, methods: smallMethods, axes, ...over })
}
