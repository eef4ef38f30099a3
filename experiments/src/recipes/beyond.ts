/** Two recipes beyond the paper: what a comparison needs to be believed. */
import { mathAsk, mathTestAsk, modelAsk, textAsk } from './asks.ts'
import {
  mathBase,
  ownSettings,
  type Recipe,
  records,
  smallBase,
  smallMethods,
  smallSweep,
  sweep,
} from './recipe.ts'

const methods = ['lora', 'pissa', 'hd-pissa', 'full']
const seeds = [1, 2, 3]

/** Settings of a method that only some have are axes of their own: `sum` and `mean`, LoRA’s scale. */
const variants = [
  { path: 'method.aggregate', values: ['sum', 'mean'] },
  { path: 'method.rankStabilized', values: [false, true] },
]

const ownRateAxes = (rates: number[]) => [
  { path: 'method', values: methods },
  ...variants,
  { path: 'optimizer.learningRate', values: rates },
  { path: 'seed', values: seeds },
]

export const ownLearningRates: Recipe = {
  id: 'own-learning-rates',
  of: 'Beyond the paper',
  title: 'Each method at its own learning rate',
  says: 'A comparison at one learning rate compares learning rates: arXiv 2602.04998 retested nine variants of LoRA, PiSSA among them, each at its own rate, and all landed within one to two percent. The paper of HD-PiSSA uses one rate for all. This recipe gives each method seven rates and three seeds.',
  reading:
    'LoRA with both scales (rsLoRA is alpha / √r), PiSSA, HD-PiSSA summed and averaged over devices, and full fine-tuning. The best rate of each is chosen on validation data and reported on test data.',
  asks: [modelAsk('Llama-2-7B'), mathAsk, mathTestAsk, textAsk],
  cost: '126 runs: at 7 billion parameters months of a GPU; at a billion, days.',
  smallMinutes: 45,
  compare:
    'The plot over the learning rate and the table of best settings with paired differences; the score against ‖ΔW‖_F tells sum from mean at matched size.',
  paper: null,
  full: (files) => {
    const base = mathBase(files, { forgetting: files['text'] })
    return sweep({
      name: 'Own learning rates',
      base: { ...base, data: { ...base.data, validationShare: 0.01 } },
      methods: ownSettings({ rank: 16 }),
      axes: ownRateAxes([1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3]),
    })
  },
  small: () =>
    smallSweep('Own learning rates', ownRateAxes([3e-4, 6e-4, 1.25e-3, 2.5e-3, 5e-3, 1e-2, 2e-2]), {
      base: {
        ...smallBase,
        data: {
          ...smallBase.data,
          source: { ...smallBase.data.source, task: 'mix', validationExamples: 128 },
        },
        evaluation: { ...smallBase.evaluation, forgetting: 'generated' },
        spectra: { everySteps: null, atEnd: true },
      },
      methods: Object.fromEntries(
        Object.entries(smallMethods).map(([name, settings]) => {
          const { optimizer: _, ...own } = settings as { optimizer?: object; method?: object }
          return [name, own]
        }),
      ),
      // At this scale most answers are wrong: the loss tells settings apart, the accuracy does not.
      metric: 'loss',
    }),
}

const peftAxes = [{ path: 'method', values: ['lora', 'dora', 'pissa', 'hd-pissa', 'hira', 'full'] }]

export const peftComparison: Recipe = {
  id: 'peft-comparison',
  of: 'Beyond the paper',
  title: 'PEFT’s public comparison, with the rows it lacks',
  says: 'The PEFT library keeps a public comparison of its methods: Llama-3.2-3B trained on MetaMathQA for 5,000 steps, scored on GSM8K. Its table has accuracy, memory, time and forgetting. It has no PiSSA and no HD-PiSSA row, and no column for the rank of what was learned.',
  reading:
    'Rank 32, a batch of 4 and a learning rate of 1e-4 as its LoRA rows have; HD-PiSSA on four devices with the same batch in all. Forgetting is the loss on untouched text, after minus before.',
  asks: [modelAsk('Llama-3.2-3B'), mathAsk, mathTestAsk, textAsk],
  cost: 'Six runs of 5,000 steps: hours each on a GPU of 24 GB.',
  smallMinutes: 4,
  compare: 'Test accuracy, training time, trainable parameters and effective rank per method.',
  paper: null,
  full: (files) =>
    sweep({
      name: 'PEFT’s comparison',
      base: {
        model: { path: files['model'] },
        seed: 0,
        data: { ...records(files['math'], files['mathTest'], 'gsm8k'), maxLength: 768 },
        optimizer: { learningRate: 1e-4, weightDecay: 0.1 },
        schedule: { kind: 'cosine', warmupRatio: 0.1 },
        parallel: { devices: 4 },
        training: { maxSteps: 5000, globalBatchSize: 4, microBatchSize: 1 },
        evaluation: { examples: 1319, maxNewTokens: 300, forgetting: files['text'] },
        spectra: { everySteps: 500, atEnd: true },
      },
      methods: ownSettings({ rank: 32 }),
      axes: peftAxes,
    }),
  small: () =>
    smallSweep('PEFT’s comparison', peftAxes, {
      base: { ...smallBase, evaluation: { ...smallBase.evaluation, forgetting: 'generated' } },
    }),
}
