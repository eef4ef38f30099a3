/** A model answers items of a benchmark, batch by batch, and each answer is judged. */
import { RankscopeError } from '@rankscope/protocol'
import { generate } from '../eval/generate.ts'
import { logLikelihoods } from '../eval/log-likelihood.ts'
import { drawToken } from '../eval/sampling.ts'
import type { LinearHook } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import { Random } from '../random.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type {
  Benchmark,
  BenchmarkItem,
  Choice,
  ChosenBenchmark,
  Sampling,
  Verdict,
  WrittenBenchmark,
} from './benchmark.ts'

/** One completion of one item. */
export type AnsweredItem = BenchmarkItem & {
  /** Which completion of the item, from 0. */
  readonly sample: number
  readonly completion: string
  /** Its beginning was cut off: it is longer than the model's context. */
  readonly isCut: boolean
} & Verdict

export interface AnswerOptions {
  readonly maxNewTokens: number
  /** Prompts decoded, or choices scored, together. */
  readonly batchSize: number
  /** Several completions of each item, where the benchmark runs programs; null: one, greedy. */
  readonly sampling: Sampling | null
}

/** What is asked: an item, and which of its completions. */
export interface Asked {
  readonly item: BenchmarkItem
  readonly sample: number
}

/** Every completion that is wanted of the items, in their order. */
export function completionsOf(
  { runsPrograms }: Benchmark,
  items: readonly BenchmarkItem[],
  sampling: Sampling | null,
): Asked[] {
  const count = runsPrograms && sampling ? sampling.completions : 1
  return items.flatMap((item) => Array.from({ length: count }, (_, sample) => ({ item, sample })))
}

/** Answers, in the order in which they are asked. The linear layers are the model's own unless `hook` is given. */
export async function* answerItems(
  model: Model,
  tokenizer: TextTokenizer,
  benchmark: Benchmark,
  asked: readonly Asked[],
  options: AnswerOptions,
  hook?: LinearHook,
): AsyncGenerator<AnsweredItem[]> {
  const { batchSize } = options
  for (let start = 0; start < asked.length; start += batchSize) {
    const batch = asked.slice(start, start + batchSize)
    yield benchmark.kind === 'write'
      ? await write(model, tokenizer, benchmark, batch, options, hook)
      : await choose(model, tokenizer, benchmark, batch, options, hook)
  }
}

async function write(
  model: Model,
  tokenizer: TextTokenizer,
  benchmark: WrittenBenchmark,
  batch: readonly Asked[],
  { maxNewTokens, batchSize, sampling }: AnswerOptions,
  hook?: LinearHook,
): Promise<AnsweredItem[]> {
  const { stops, protocol } = benchmark
  const prompts = batch.map(({ item }) => tokenizer.encode(item.prompt))
  // As the harness does, what does not fit the context loses its beginning.
  const room = model.config.maxPositions - maxNewTokens
  if (protocol.name === 'lm-eval' && room < 1)
    throw new RankscopeError(
      'CONFIG_INVALID',
      `an answer of ${maxNewTokens} tokens leaves no room for a prompt in the model's context of ${model.config.maxPositions}`,
      { hint: 'allow fewer tokens an answer; the score is then no longer the protocol’s' },
    )
  const isCut = prompts.map((prompt) => protocol.name === 'lm-eval' && prompt.length > room)
  const shown = prompts.map((prompt, at) => (isCut[at] ? prompt.slice(-room) : prompt))
  const longest = Math.max(0, ...stops.map((stop) => stop.length))
  // A stop string spans no more tokens than it has bytes; the last token may go beyond its end.
  const tail = 4 * longest + 1
  const streams =
    benchmark.runsPrograms && sampling
      ? batch.map(({ item, sample }) =>
          new Random(sampling.seed).fork(`${benchmark.name}/${item.id}#${sample}`),
        )
      : null
  const tokens = await generate(
    model,
    shown,
    {
      maxNewTokens,
      batchSize,
      stopTokenIds: new Set([tokenizer.endTokenId, ...model.stopTokenIds]),
      ...(stops.length > 0 && {
        isEnough: (found) => {
          const end = tokenizer.decode(found.slice(-tail))
          return stops.some((stop) => end.includes(stop))
        },
      }),
      ...(streams && sampling && { pick: (logits, at) => drawToken(logits, sampling, streams[at]!) }),
    },
    hook,
  )
  const answered: AnsweredItem[] = []
  for (const [at, { item, sample }] of batch.entries()) {
    const completion = beforeFirst(tokenizer.decode(tokens[at]!), stops)
    const { id, prompt, reference } = item
    const verdict = await benchmark.judge(item, completion)
    answered.push({ id, sample, prompt, completion, reference, isCut: isCut[at]!, ...verdict })
  }
  return answered
}

function beforeFirst(text: string, stops: readonly string[]): string {
  const ends = stops.map((stop) => text.indexOf(stop)).filter((at) => at !== -1)
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends))
}

async function choose(
  model: Model,
  tokenizer: TextTokenizer,
  benchmark: ChosenBenchmark,
  batch: readonly Asked[],
  { batchSize }: AnswerOptions,
  hook?: LinearHook,
): Promise<AnsweredItem[]> {
  const room = model.config.maxPositions + 1
  const choices = batch.map(({ item }) => benchmark.choices(item))
  const encoded = choices.flat().map((choice) => encodePair(tokenizer, choice))
  const isLong = encoded.map(({ tokens }) => tokens.length > room)
  const shown = encoded.map(({ tokens, known }, at) =>
    isLong[at] ? { tokens: tokens.slice(-room), known: known - (tokens.length - room) } : { tokens, known },
  )
  const { padTokenId } = tokenizer
  const found = await logLikelihoods(model, shown, { batchSize, padTokenId }, hook)
  let next = 0
  return batch.map(({ item, sample }, at) => {
    const [first, end] = [next, next + choices[at]!.length]
    next = end
    const verdict = benchmark.judge(item, found.slice(first, end))
    const { id, prompt, reference } = item
    const completion = found
      .slice(first, end)
      .map((value, place) => `${value.toFixed(3)} ${choices[at]![place]!.continuation.trim()}`)
      .join('\n')
    const isCut = isLong.slice(first, end).some(Boolean)
    return { id, sample, prompt, completion, reference, isCut, ...verdict }
  })
}

/**
 * As the harness does: white space that ends the context belongs to the continuation, both are encoded as one text, and what
 * the context takes of it alone is given.
 */
function encodePair(tokenizer: TextTokenizer, { context, continuation }: Choice) {
  const given = context.trimEnd()
  const known = tokenizer.encode(given).length
  return { tokens: tokenizer.encode(context + continuation), known }
}
