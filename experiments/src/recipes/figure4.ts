/** The paper’s multi-task comparison: one training on everything, scored by many benchmarks. */
import {
  benchmarkNames,
  benchmarkTitles,
  type MultiTaskSet,
  multiTaskMix,
  multiTaskSetNames,
  multiTaskSets,
} from '@rankscope/protocol'
import { modelAsk } from './asks.ts'
import {
  type Ask,
  type Files,
  ownSettings,
  paperBase,
  type Recipe,
  smallBase,
  smallSweep,
  sweep,
} from './recipe.ts'

const asks: Ask[] = [
  modelAsk('Llama-2-7B'),
  ...multiTaskSetNames.map(
    (name): Ask => ({ key: name, kind: 'data', title: name, hint: multiTaskSets[name].holds }),
  ),
  ...benchmarkNames.map(
    (name): Ask => ({
      key: `${name}-test`,
      kind: 'data',
      title: `${benchmarkTitles[name]} test file`,
      hint: `the test file of ${benchmarkTitles[name]}`,
    }),
  ),
]

const axes = [{ path: 'method', values: ['lora', 'pissa', 'hd-pissa'] }]

export const figure4: Recipe = {
  id: 'fig4',
  of: 'Figure 4',
  title: 'Multi-task training, many benchmarks',
  says: 'The paper trains Llama-2-7B for one epoch on mathematics, code, conversation and eight sets of commonsense reasoning at once (791K examples), with LoRA, PiSSA and HD-PiSSA of rank 128. It scores twelve benchmarks. HD-PiSSA is first in the mean, 10.0 points before LoRA and 4.98 before PiSSA.',
  reading:
    'The mix has every example once. All twelve benchmarks are scored after training, each by its test file and the papers’ protocol (zero-shot, Alpaca prompt, greedy, 1,024 tokens); HumanEval and MBPP by the base tests of their files, in a sandbox. The mean counts each benchmark the same. The percentages beside the paper’s gains (14.63 and 6.60) are not those of its means; presumably they are means of ratios.',
  asks,
  cost: 'Three runs of 6,177 steps, each about four days on a GPU of 80 GB.',
  smallMinutes: 2,
  compare: 'Mean over the benchmarks per method, and the scores by benchmark on each run’s page.',
  paper: {
    columns: ['Benchmark', 'Baseline', 'HD-PiSSA'],
    rows: [
      ['OBQA', '78.2', '88.2'],
      ['WinoGrande', '76.4', '85.4'],
    ],
    numeric: [false, true, true],
    caption: 'Percent, Llama-2-7B: what its text says of the figure; the bars have no numbers.',
  },
  full: (files) =>
    sweep({
      name: 'Figure 4',
      base: {
        ...paperBase,
        model: { path: files['model'] },
        data: { source: mixOf(files), template: 'alpaca', maxLength: 512 },
        evaluation: {
          examples: 100_000,
          benchmarks: benchmarkNames.map((name) => ({ name, path: files[`${name}-test`] ?? '' })),
        },
      },
      methods: ownSettings({ rank: 128 }),
      axes,
      metric: 'meanAccuracy',
    }),
  small: () =>
    smallSweep('Figure 4', axes, {
      base: {
        ...smallBase,
        data: {
          ...smallBase.data,
          source: {
            kind: 'mix',
            sources: (['arithmetic', 'programs', 'choice'] as const).map((task) => ({
              name: task,
              source: { kind: 'task', task, trainExamples: 512, evaluationExamples: 64 },
            })),
          },
        },
        evaluation: { ...smallBase.evaluation, examples: 192 },
      },
      metric: 'meanAccuracy',
    }),
}

/** Nothing of the sets is held out: what is scored is the benchmarks. */
function mixOf(files: Files) {
  const paths = Object.fromEntries(multiTaskSetNames.map((name) => [name, files[name] ?? '']))
  return multiTaskMix(paths as Record<MultiTaskSet, string>)
}
