/** Evaluation of a run: loss and exact-match accuracy of the weights as they are now, told as records. */
import { RankscopeError, type RecordBodyOf, type RunConfig } from '@rankscope/protocol'
import type { Score } from '../benchmarks/score.ts'
import { evaluationBatch } from '../data/batch.ts'
import type { Sampler } from '../data/sampler.ts'
import { type AccuracyResult, evaluateAccuracy, evaluateLoss } from '../eval/evaluate.ts'
import type { Adaptation } from '../methods/method.ts'
import type { Model } from '../model/model.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { firstInForward } from '../train/not-finite.ts'
import { type LoadedBenchmark, scoreBenchmark } from './benchmarks.ts'
import type { RunEnvironment } from './environment.ts'
import type { LoadedData } from './load-data.ts'

export interface EvaluationSubject {
  readonly config: RunConfig
  readonly model: Model
  readonly adaptation: Adaptation
  /** Null where there are only tokens, and nothing to answer. */
  readonly tokenizer: TextTokenizer | null
  readonly padTokenId: number
  readonly data: LoadedData
  readonly benchmarks: readonly LoadedBenchmark[]
  readonly training: { readonly sampler: Pick<Sampler, 'totalSteps'> }
}

export type EvaluationSplit = 'validation' | 'test'

/** Whether there is anything to evaluate: benchmarks count as test data. */
export function hasSplit(
  { data, benchmarks }: Pick<EvaluationSubject, 'data' | 'benchmarks'>,
  split: EvaluationSplit,
): boolean {
  return data[split] !== null || (split === 'test' && benchmarks.length > 0)
}

/** Null where the run has no such data. */
export async function evaluate(
  subject: EvaluationSubject,
  step: number,
  split: EvaluationSplit,
  emit: RunEnvironment['emit'],
): Promise<RecordBodyOf<'evaluation'> | null> {
  if (!hasSplit(subject, split)) return null
  const { config, model, adaptation, tokenizer, padTokenId, data, training } = subject
  const { examples, answers } = data[split] ?? { examples: [], answers: [] }
  const benchmarks = split === 'test' ? subject.benchmarks : []
  const settings = config.evaluation
  const start = performance.now()
  const progress = (share: number) =>
    emit({
      kind: 'phase',
      phase: 'evaluating',
      progress: Math.min(1, share),
      detail: `step ${step}, ${split}`,
    })
  progress(0)
  const { linear, dispose } = adaptation.inference()
  try {
    const lossSettings = { batchSize: settings.batchSize, padTokenId }
    const result = examples.length > 0 ? await evaluateLoss(model, examples, lossSettings, linear) : null
    const groups: Group[] = []
    const protocols: Record<string, string> = {}
    const parts = answers.length + benchmarks.length
    for (const [index, { name, records, template, scorer }] of answers.entries()) {
      if (records.length === 0) continue
      const onProgress = (share: number) => progress((index + share) / parts)
      const options = { ...settings, template, scorer, onProgress }
      groups.push({ name, result: await evaluateAccuracy(model, tokenizer!, records, options, linear) })
    }
    for (const [index, benchmark] of benchmarks.entries()) {
      if (benchmark.items.length === 0) continue
      const onProgress = (share: number) => progress((answers.length + index + share) / parts)
      const options = { batchSize: settings.batchSize, onProgress }
      const { score, answers: told } = await scoreBenchmark(model, tokenizer!, benchmark, options, linear)
      const result = {
        ...sharesOf(score),
        answers: told.map(({ reference, ...answer }) => ({ ...answer, expected: reference })),
      }
      protocols[benchmark.title] = protocolOf(benchmark, score)
      groups.push({ name: benchmark.title, result })
    }
    // After the last step both splits are scored; one set of completions is enough to read, and that of the test.
    const isLast = split === 'validation' && hasSplit(subject, 'test') && step === training.sampler.totalSteps
    groups
      .flatMap((group) => (isLast ? [] : group.result.answers.slice(0, settings.samples)))
      .forEach((answer, index) => {
        const { prompt, completion, expected, correct } = answer
        emit({ kind: 'sample', step, index, prompt, completion, expected, correct })
      })
    const record: RecordBodyOf<'evaluation'> = {
      kind: 'evaluation',
      step,
      ...(split === 'validation' && { split }),
      loss: result?.loss ?? null,
      ...scoresOf(groups, protocols, examples.length),
      elapsedMs: performance.now() - start,
    }
    emit(record)
    return record
  } finally {
    dispose()
  }
}

/** What was answered of one source, or of one benchmark. */
interface Group<Result = AccuracyResult> {
  readonly name: string
  readonly result: Result
}

type Shares = Pick<AccuracyResult, 'examples' | 'accuracy' | 'byType'>

/** A benchmark's score as an evaluation tells it: further metrics stand where other sources have types of records. */
export function sharesOf({ items, metrics: [{ value }, ...further] }: Score): Shares {
  return {
    examples: items,
    accuracy: value ?? 0,
    byType: Object.fromEntries(
      further.map((metric) => [metric.name, { examples: items, accuracy: metric.value ?? 0 }]),
    ),
  }
}

export function protocolOf({ protocol }: LoadedBenchmark, { cut }: Score): string {
  return cut === 0 ? protocol : `${protocol}, ${cut} prompts cut to the model's context`
}

/** The part of an evaluation's record that scores decide. `protocols`: by benchmark; empty where there is none. */
export function scoresOf(
  groups: readonly Group<Shares>[],
  protocols: Readonly<Record<string, string>>,
  examples = 0,
) {
  const answered = groups.reduce((sum, group) => sum + group.result.examples, 0)
  const correct = groups.reduce((sum, { result: { accuracy, examples: n } }) => sum + accuracy * n, 0)
  const hasBenchmarks = Object.keys(protocols).length > 0
  return {
    examples: Math.max(examples, answered),
    accuracy: groups.length === 1 ? groups[0]!.result.accuracy : answered === 0 ? null : correct / answered,
    ...(groups.length > 1 && { meanAccuracy: meanOf(groups) }),
    ...(hasBenchmarks && { protocols }),
    byType: byType(groups, hasBenchmarks),
  }
}

/** Each group counts the same: a small benchmark is no less a benchmark. */
function meanOf(groups: readonly Group<Shares>[]): number {
  return groups.reduce((sum, { result: { accuracy } }) => sum + accuracy, 0) / groups.length
}

/** Of one source by its types of records; of several, or where benchmarks are, by name, and by type within each. */
function byType(groups: readonly Group<Shares>[], hasBenchmarks: boolean) {
  if (groups.length === 1 && !hasBenchmarks) return groups[0]!.result.byType
  return Object.fromEntries(
    groups.flatMap(({ name, result: { examples, accuracy, byType: types } }) => [
      [name, { examples, accuracy }],
      ...Object.entries(types).map(([type, share]) => [`${name}: ${type}`, share]),
    ]),
  )
}

/** Why the loss of an evaluation is not finite: the first example and the first layer where it comes up. */
export function evaluationFailure(
  { model, adaptation, padTokenId, data }: EvaluationSubject,
  { step, loss, split }: RecordBodyOf<'evaluation'>,
): RankscopeError {
  const { linear, dispose } = adaptation.inference()
  let where = 'the loss itself, behind the last block'
  try {
    for (const [index, example] of data[split ?? 'test']!.examples.entries()) {
      const found = firstInForward(model, evaluationBatch([example], padTokenId), linear)
      if (found === null) continue
      where = `${found}, evaluation example ${index + 1}`
      break
    }
  } finally {
    dispose()
  }
  return new RankscopeError(
    'NUMERIC',
    `evaluation at step ${step}: the loss is ${loss}; first not finite: ${where}`,
    {
      hint:
        step === 0
          ? 'Nothing has been trained: the base model overflows on this example. Look at it, or take another model.'
          : 'The weights are finite and kept in the checkpoint of this step. Resume it with evaluation off, or train with a lower learning rate.',
    },
  )
}
