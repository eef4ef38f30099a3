/** The paper’s figures as recipes. */
import {
  codeAsk,
  codeTestAsks,
  commonsenseAsk,
  conversationAsk,
  mathAsk,
  mathTestAsk,
  modelAsk,
} from './asks.ts'
import {
  codeBase,
  type Files,
  mathBase,
  ownSettings,
  type Recipe,
  smallBase,
  smallMethods,
  smallSweep,
  sweep,
} from './recipe.ts'

const spectraOfAll = { everySteps: 500, atEnd: true }
const weeks =
  'The paper used eight A100 for about three weeks in all; one run of 7 billion parameters takes a GPU of 80 GB for about a day.'

/** Spectra and no score: what the figures of spectra need. */
function unscored(files: Files) {
  const { source, ...data } = mathBase(files).data
  return {
    ...mathBase(files),
    data: { ...data, source: { ...source, evaluationPath: null, scorer: 'exact' } },
    evaluation: { atEnd: false },
    spectra: spectraOfAll,
  }
}

export const figure1: Recipe = {
  id: 'fig1',
  of: 'Figure 1',
  title: 'ΔW of full fine-tuning by data set',
  says: 'The paper fine-tunes all weights of Llama-2-7B on mathematics, code, commonsense and conversation data, one epoch each. It then looks at the singular values of ΔW of one module (q_proj of layer 31). On mathematics and code they fall off later than on the other two, which is its argument for updates of high rank.',
  reading: 'One run per data set at a batch of 128; no score is taken, since the figure has none.',
  asks: [modelAsk('Llama-2-7B'), mathAsk, codeAsk, commonsenseAsk, conversationAsk],
  cost: `Four runs of full fine-tuning. ${weeks}`,
  smallMinutes: 3,
  compare:
    'The final spectra of one module, side by side on logarithmic axes: which data set’s tail lies higher.',
  paper: null,
  full: (files) =>
    sweep({
      name: 'Figure 1',
      base: {
        ...unscored(files),
        method: { name: 'full', scope: 'linears' },
      },
      methods: ownSettings(),
      axes: [
        {
          path: 'data.source.path',
          values: ['math', 'code', 'commonsense', 'conversation'].map((key) => files[key] ?? ''),
        },
      ],
      metric: 'loss',
    }),
  small: () =>
    smallSweep(
      'Figure 1',
      [{ path: 'data.source.task', values: ['arithmetic', 'programs', 'choice', 'mix'] }],
      { base: { ...smallBase, method: { name: 'full', scope: 'linears' } } },
    ),
}

const spectraByMethod = ['lora', 'pissa', 'hd-pissa', 'full']

export const figure3: Recipe = {
  id: 'fig3',
  of: 'Figure 3',
  title: 'Spectra of ΔW by method',
  says: 'The paper trains Llama-3.1-8B on MetaMathQA with LoRA, PiSSA and HD-PiSSA of rank 128 and with full fine-tuning. It draws all singular values of ΔW of one module (k_proj of layer 31). LoRA’s end at r, PiSSA’s at 2r, while those of HD-PiSSA and of full fine-tuning go on.',
  reading:
    'k_proj of Llama-3.1-8B has 1,024 rows, so that 2Kr = 2,048 lies beyond its rank: what the figure shows of HD-PiSSA there is no evidence about the second-order term. Recipe fig7 looks at that on a matrix where 2Kr is not vacuous.',
  asks: [modelAsk('Llama-3.1-8B'), mathAsk, mathTestAsk],
  cost: `Four runs, one of them full fine-tuning. ${weeks}`,
  smallMinutes: 3,
  compare: 'The spectra with the lines r, 2r, Kr, 2Kr.',
  paper: null,
  full: (files) =>
    sweep({
      name: 'Figure 3',
      base: {
        ...mathBase(files),
        spectra: spectraOfAll,
      },
      methods: ownSettings({ rank: 128 }),
      axes: [{ path: 'method', values: spectraByMethod }],
    }),
  small: () => smallSweep('Figure 3', [{ path: 'method', values: spectraByMethod }]),
}

export const figure5: Recipe = {
  id: 'fig5',
  of: 'Figure 5',
  title: 'Score and step time against the number of devices',
  says: 'The paper trains HD-PiSSA with K = 2, 4 and 8 devices on code for three epochs, with the batch fixed at 128. It reports the mean of HumanEval and MBPP every 500 steps, and the time of a step. Both improve with K: 82.44 s a step at K = 2, 24.88 s at K = 8.',
  reading:
    'With the sum over devices more devices also mean a K times larger step, so the recipe runs sum and mean side by side. The base model is not named in the paper; Llama-2-7B is plausible. HumanEval and MBPP are scored by the base tests of their files, in a sandbox; small, the test loss stands in for them.',
  asks: [modelAsk('Llama-2-7B'), codeAsk, ...codeTestAsks],
  cost: `Six runs of three epochs. ${weeks}`,
  smallMinutes: 6,
  compare: 'Mean of HumanEval and MBPP over K, sum against mean; tokens per second over K.',
  paper: {
    columns: ['K', 'Seconds per step', 'Best mean of HumanEval and MBPP'],
    rows: [
      ['2', '82.44', ''],
      ['8', '24.88', '34.05'],
    ],
    numeric: [true, true, true],
  },
  full: (files) =>
    sweep({
      name: 'Figure 5',
      base: { ...codeBase(files), method: { name: 'hd-pissa' } },
      methods: ownSettings({ rank: 16 }),
      axes: [
        { path: 'parallel.devices', values: [2, 4, 8] },
        { path: 'method.aggregate', values: ['sum', 'mean'] },
      ],
      metric: 'meanAccuracy',
    }),
  small: () =>
    smallSweep(
      'Figure 5',
      [
        { path: 'parallel.devices', values: [1, 2, 4, 8] },
        { path: 'method.aggregate', values: ['sum', 'mean'] },
      ],
      {
        base: {
          ...smallBase,
          training: { ...smallBase.training, microBatchSize: 2 },
          method: { name: 'hd-pissa' },
        },
      },
    ),
}

export const figure6: Recipe = {
  id: 'fig6',
  of: 'Figure 6',
  title: 'Score against rank',
  says: 'The paper trains Llama-2-7B on 100K records of MetaMathQA with ranks 1 to 256. HD-PiSSA lies above PiSSA and LoRA at every rank. At rank 256 it comes within 0.62 points of full fine-tuning on MATH.',
  reading:
    'One learning rate for all ranks, as in the paper; the points of LoRA and PiSSA up to rank 128 are quoted there from the PiSSA paper.',
  asks: [
    modelAsk('Llama-2-7B'),
    { ...mathAsk, hint: 'MetaMathQA; the first 100K records are used' },
    mathTestAsk,
  ],
  cost: `Twenty-eight runs. ${weeks}`,
  smallMinutes: 10,
  compare: 'Score over rank, one line per method; full fine-tuning as a single setting.',
  paper: null,
  full: (files) => {
    const base = mathBase(files)
    return sweep({
      name: 'Figure 6',
      base: { ...base, data: { ...base.data, limit: 100_000 } },
      methods: ownSettings(),
      axes: [
        { path: 'method', values: spectraByMethod },
        { path: 'method.rank', values: [1, 2, 4, 8, 16, 32, 64, 128, 256] },
      ],
    })
  },
  small: () =>
    smallSweep('Figure 6', [
      { path: 'method', values: spectraByMethod },
      { path: 'method.rank', values: [1, 2, 4, 8, 16] },
    ]),
}

export const figure7: Recipe = {
  id: 'fig7',
  of: 'Figure 7',
  title: 'Singular values beyond 2Kr',
  says: 'The paper draws the singular values of ΔW beyond index 2Kr = 2,048 for LoRA, PiSSA and HD-PiSSA of rank 128. Those of HD-PiSSA lie one to two orders of magnitude above the others. It attributes them to the second-order term ΔA ΔB.',
  reading:
    'Which part of a tail is the second-order term and which is rounding of float32 is measured, not assumed: HD-PiSSA runs with the update attributed to its parts, and once more without the second-order term as a control. The noise floor of float32 is drawn. Layer and K are not given in the paper; K = 8 is presumed.',
  asks: [modelAsk('Llama-2-7B'), mathAsk],
  cost: `Four runs. ${weeks}`,
  smallMinutes: 4,
  compare:
    'The spectrum with all its parts, and the table of parts: what lies beyond the first order, against the noise floor.',
  paper: null,
  full: (files) =>
    sweep({
      name: 'Figure 7',
      base: unscored(files),
      methods: attributed(ownSettings({ rank: 128 })),
      axes: partAxes,
      metric: 'loss',
    }),
  small: () => smallSweep('Figure 7', partAxes, { methods: attributed(smallMethods) }),
}

const partAxes = [
  { path: 'method', values: ['lora', 'pissa', 'hd-pissa'] },
  { path: 'method.secondOrder', values: [true, false] },
]

function attributed<T extends Readonly<Record<string, unknown>>>(methods: T) {
  const own = methods['hd-pissa'] as { method: object }
  return { ...methods, 'hd-pissa': { ...own, method: { ...own.method, attribution: true } } }
}

export const figure8: Recipe = {
  id: 'fig8',
  of: 'Figure 8 (Appendix D)',
  title: 'The mute scalar',
  says: 'The paper multiplies the adapters by a small scalar γ in the forward pass and divides their gradients by it. It tries γ from 1e-2 to 1e-32 on MetaMathQA. The score is flat from 1e-4 to 1e-16 and drops at both ends.',
  reading:
    'At 1e-2 the adapters disturb the forward pass; at 1e-32 float32 runs out of numbers. So each γ runs with subnormal numbers and with them replaced by zero, as some kernels do.',
  asks: [modelAsk('Llama-2-7B'), mathAsk, mathTestAsk],
  cost: `Ten runs. ${weeks}`,
  smallMinutes: 6,
  compare: 'Score over γ on a logarithmic axis.',
  paper: null,
  full: (files) =>
    sweep({
      name: 'Figure 8',
      base: { ...mathBase(files), method: muted },
      methods: ownSettings({ rank: 16 }),
      axes: muteAxes,
    }),
  small: () => smallSweep('Figure 8', muteAxes, { base: { ...smallBase, method: muted } }),
}

const muted = { name: 'hd-pissa', mute: { literal: 1e-16 } }
const muteAxes = [
  { path: 'method.mute.literal', values: [1e-2, 1e-4, 1e-8, 1e-16, 1e-32] },
  { path: 'method.mute.flushSubnormals', values: [false, true] },
]
