/** The paper’s multi-task comparison: one training on everything, scored by many benchmarks. */
import { type MultiTaskSet, multiTaskMix, multiTaskSetNames, multiTaskSets } from '@rankscope/protocol'
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

/** Of the two others nothing is a right answer: they are trained on, and not scored. */
const scored = multiTaskSetNames.filter((name) => multiTaskSets[name].scorer !== 'exact')

const trainKey = (name: MultiTaskSet) => name
const testKey = (name: MultiTaskSet) => `${name}-test`
const benchmarkOf = (name: MultiTaskSet) => (name === 'MetaMathQA' ? 'GSM8K' : name)

const asks: Ask[] = [
  modelAsk('Llama-2-7B'),
  ...multiTaskSetNames.map(
    (name): Ask => ({ key: trainKey(name), kind: 'data', title: name, hint: multiTaskSets[name].holds }),
  ),
  ...scored.map(
    (name): Ask => ({
      key: testKey(name),
      kind: 'data',
      title: `${benchmarkOf(name)} test file`,
      hint: `the test records of ${benchmarkOf(name)}`,
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
    'The mix has every example once. Nine of the twelve benchmarks are scored within the run, each by the test file of its own set; MATH, HumanEval and MBPP have no training set of their own in the mix: score the exported model on them with npm run evaluate. The percentages beside the paper’s gains (14.63 and 6.60) are not those of its means; presumably they are means of ratios.',
  asks,
  cost: 'Three runs of 6,177 steps, each about four days on a GPU of 80 GB.',
  smallMinutes: 2,
  compare: 'Test accuracy per method, and the scores by set on each run’s page.',
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
        evaluation: { examples: 100_000, maxNewTokens: 1024 },
        export: { model: true },
      },
      methods: ownSettings({ rank: 128 }),
      axes,
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
    }),
}

function mixOf(files: Files) {
  const pick = (names: readonly MultiTaskSet[], key: (name: MultiTaskSet) => string) =>
    Object.fromEntries(names.map((name) => [name, files[key(name)] ?? '']))
  return multiTaskMix(
    pick(multiTaskSetNames, trainKey) as Record<MultiTaskSet, string>,
    pick(scored, testKey),
  )
}
