/** A model answers items of a benchmark, batch by batch, and each answer is judged. */
import { generate } from '../eval/generate.ts'
import type { LinearHook } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { Benchmark, BenchmarkItem, Verdict } from './benchmark.ts'

export type AnsweredItem = BenchmarkItem & { readonly completion: string } & Verdict

interface AnswerOptions {
  readonly maxNewTokens: number
  /** Prompts decoded together. */
  readonly batchSize: number
}

/** Greedy answers, in the order of the items. The linear layers are the model's own unless `hook` is given. */
export async function* answerItems(
  model: Model,
  tokenizer: TextTokenizer,
  benchmark: Benchmark,
  items: readonly BenchmarkItem[],
  { maxNewTokens, batchSize }: AnswerOptions,
  hook?: LinearHook,
): AsyncGenerator<AnsweredItem[]> {
  const stopTokenIds = new Set([tokenizer.endTokenId, ...model.stopTokenIds])
  for (let start = 0; start < items.length; start += batchSize) {
    const batch = items.slice(start, start + batchSize)
    const prompts = batch.map(({ prompt }) => tokenizer.encode(prompt))
    const tokens = await generate(model, prompts, { maxNewTokens, batchSize, stopTokenIds }, hook)
    const answered: AnsweredItem[] = []
    for (const [index, item] of batch.entries()) {
      const completion = tokenizer.decode(tokens[index]!)
      const { id, prompt, reference } = item
      answered.push({ id, prompt, completion, reference, ...(await benchmark.judge(item, completion)) })
    }
    yield answered
  }
}
