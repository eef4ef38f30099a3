/** Evaluation of a model: exact-match accuracy of greedy answers, and loss per token. */
import { evaluationBatch, lossTokens } from '../data/batch.ts'
import type { TokenExample } from '../data/examples.ts'
import type { InstructionRecord } from '../data/records.ts'
import type { Template } from '../data/templates.ts'
import { type LinearHook, loss, plainLinear } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { generate } from './generate.ts'
import type { Scorer } from './scorers.ts'

export interface AnswerSample {
  readonly prompt: string
  readonly completion: string
  readonly expected: string
  readonly correct: boolean
}

export interface AccuracyResult {
  readonly examples: number
  /** Share of correct answers, 0..1. */
  readonly accuracy: number
  readonly byType: Readonly<Record<string, { examples: number; accuracy: number }>>
  /** Every answer, in the order of the records. */
  readonly answers: readonly AnswerSample[]
}

export interface AccuracyOptions {
  template: Template
  scorer: Scorer
  maxNewTokens: number
  batchSize: number
  onProgress?: (done: number) => void
}

/** Answers every record greedily and scores the answers. The linear layers are the model's own unless `hook` is given. */
export async function evaluateAccuracy(
  model: Model,
  tokenizer: TextTokenizer,
  records: readonly InstructionRecord[],
  options: AccuracyOptions,
  hook: LinearHook = plainLinear(model),
): Promise<AccuracyResult> {
  const { template, scorer } = options
  const prompts = records.map((record) => template.prompt(record) + scorer.promptSuffix)
  const generated = await generate(
    model,
    prompts.map((prompt) => template.encode(prompt)),
    { ...options, stopTokenIds: new Set([tokenizer.endTokenId, ...model.stopTokenIds]) },
    hook,
  )
  const answers: AnswerSample[] = []
  for (const [index, record] of records.entries()) {
    const completion = tokenizer.decode(generated[index] as number[])
    const expected = scorer.reference(record)
    const correct = await scorer.correct(completion, record)
    answers.push({ prompt: prompts[index] as string, completion, expected, correct })
  }
  return { ...share(answers), byType: accuracyByType(records, answers), answers }
}

/** Mean cross-entropy in nats over all trained tokens of the examples. */
export async function evaluateLoss(
  model: Model,
  examples: readonly TokenExample[],
  { batchSize, padTokenId }: { batchSize: number; padTokenId: number },
  hook: LinearHook = plainLinear(model),
): Promise<{ loss: number; tokens: number }> {
  let total = 0
  let tokens = 0
  for (let start = 0; start < examples.length; start += batchSize) {
    const part = examples.slice(start, start + batchSize)
    const count = part.reduce((sum, example) => sum + lossTokens(example), 0)
    const result = loss(model, evaluationBatch(part, padTokenId), hook)
    const [mean] = await result.loss.data()
    result.loss.dispose()
    result.perToken.dispose()
    total += (mean as number) * count
    tokens += count
  }
  return { loss: total / tokens, tokens }
}

function accuracyByType(records: readonly InstructionRecord[], answers: readonly AnswerSample[]) {
  const groups = new Map<string, AnswerSample[]>()
  records.forEach((record, index) => {
    if (record.type === null) return
    const group = groups.get(record.type) ?? []
    groups.set(record.type, [...group, answers[index] as AnswerSample])
  })
  return Object.fromEntries([...groups].map(([type, group]) => [type, share(group)]))
}

function share(answers: readonly AnswerSample[]): { examples: number; accuracy: number } {
  const correct = answers.filter((answer) => answer.correct).length
  return { examples: answers.length, accuracy: correct / answers.length }
}
