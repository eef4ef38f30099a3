/** Evaluation of a run: loss and exact-match accuracy of the weights as they are now, told as records. */
import { RankscopeError, type RecordBodyOf, type RunConfig } from '@rankscope/protocol'
import { evaluationBatch } from '../data/batch.ts'
import { evaluateAccuracy, evaluateLoss } from '../eval/evaluate.ts'
import type { Adaptation } from '../methods/method.ts'
import type { Model } from '../model/model.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { firstInForward } from '../train/not-finite.ts'
import type { RunEnvironment } from './environment.ts'
import type { LoadedData } from './load-data.ts'

export interface EvaluationSubject {
  readonly config: RunConfig
  readonly model: Model
  readonly adaptation: Adaptation
  readonly tokenizer: TextTokenizer
  readonly data: LoadedData
}

/** Null where the run has no evaluation data. */
export async function evaluate(
  { config, model, adaptation, tokenizer, data }: EvaluationSubject,
  step: number,
  emit: RunEnvironment['emit'],
): Promise<RecordBodyOf<'evaluation'> | null> {
  if (!data.evaluation) return null
  const { examples, answers } = data.evaluation
  const settings = config.evaluation
  const start = performance.now()
  const progress = (share: number) =>
    emit({ kind: 'phase', phase: 'evaluating', progress: Math.min(1, share), detail: `step ${step}` })
  progress(0)
  const { linear, dispose } = adaptation.inference()
  try {
    const used = examples.slice(0, settings.examples)
    const lossSettings = { batchSize: settings.batchSize, padTokenId: tokenizer.padTokenId }
    const result = used.length > 0 ? await evaluateLoss(model, used, lossSettings, linear) : null
    const records = answers ? answers.records.slice(0, settings.examples) : []
    const accuracy =
      answers && records.length > 0
        ? await evaluateAccuracy(
            model,
            tokenizer,
            records,
            { ...answers, ...settings, onProgress: progress },
            linear,
          )
        : null
    accuracy?.answers.slice(0, settings.samples).forEach((answer, index) => {
      emit({ kind: 'sample', step, index, ...answer })
    })
    const record: RecordBodyOf<'evaluation'> = {
      kind: 'evaluation',
      step,
      examples: Math.max(used.length, records.length),
      loss: result?.loss ?? null,
      accuracy: accuracy?.accuracy ?? null,
      byType: accuracy?.byType ?? {},
      elapsedMs: performance.now() - start,
    }
    emit(record)
    return record
  } finally {
    dispose()
  }
}

/** Why the loss of an evaluation is not finite: the first example and the first layer where it comes up. */
export function evaluationFailure(
  { config, model, adaptation, tokenizer, data }: EvaluationSubject,
  { step, loss }: RecordBodyOf<'evaluation'>,
): RankscopeError {
  const { linear, dispose } = adaptation.inference()
  let where = 'the loss itself, behind the last block'
  try {
    for (const [index, example] of data.evaluation!.examples.slice(0, config.evaluation.examples).entries()) {
      const found = firstInForward(model, evaluationBatch([example], tokenizer.padTokenId), linear)
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
