/** A model answers a benchmark: every item kept as it is answered, so that an evaluation that was interrupted goes on. */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { benchmarkTitle } from '@rankscope/protocol'
import { z } from 'zod'
import type { LinearHook } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { type AnsweredItem, answerItems, completionsOf } from './answer-items.ts'
import { type Benchmark, type BenchmarkItem, protocolText, type Sampling } from './benchmark.ts'
import { type Metric, scoreOf } from './score.ts'

const answeredItem = z.object({
  id: z.string(),
  sample: z.int(),
  prompt: z.string(),
  completion: z.string(),
  reference: z.string(),
  isCut: z.boolean(),
  correct: z.boolean(),
  extracted: z.string().nullable(),
  reason: z.string().nullable(),
  also: z.record(z.string(), z.boolean()).exactOptional(),
})

/** First line of an items file: what its answers hold for. */
const heading = z.object({
  benchmark: z.string(),
  /** With its version, answer length and sampling. */
  protocol: z.string(),
  model: z.string(),
  backend: z.string(),
})
type Heading = z.infer<typeof heading>

export interface EvaluationSettings {
  /** JSONL: a heading, then an item a line. */
  readonly itemsFile: string
  /** Names the weights: answers of others are not taken over. */
  readonly modelIdentity: string
  readonly backend: string
  readonly batchSize: number
  readonly maxNewTokens: number | null
  /** Several completions of each problem of a benchmark that runs programs. */
  readonly sampling: Sampling | null
  /** pass@k is told for these, where so many completions are sampled. */
  readonly ks: readonly number[]
  /** Looked at between batches; true ends the evaluation there. */
  readonly isInterrupted: () => boolean
  readonly onProgress: (done: number, total: number, correct: number) => void
  /** Hears every completion, those that an earlier evaluation left included, in the order in which they count. */
  readonly onItem?: (item: AnsweredItem) => void
  /** The model's linear layers; its own where left out. */
  readonly hook?: LinearHook
}

export interface BenchmarkScore {
  readonly benchmark: string
  readonly title: string
  readonly protocol: string
  readonly items: number
  readonly correct: number
  /** The first is the score. */
  readonly metrics: readonly [Metric, ...Metric[]]
  /** Prompts that lost their beginning, being longer than the model's context. */
  readonly cut: number
  readonly isComplete: boolean
}

export async function evaluateBenchmark(
  model: Model,
  tokenizer: TextTokenizer,
  benchmark: Benchmark,
  items: readonly BenchmarkItem[],
  settings: EvaluationSettings,
): Promise<BenchmarkScore> {
  const { protocol, name } = benchmark
  const { sampling, batchSize, hook, onItem = () => {} } = settings
  const maxNewTokens = settings.maxNewTokens ?? protocol.maxNewTokens
  const asked = completionsOf(benchmark, items, sampling)
  const how = protocolText(benchmark, maxNewTokens, sampling)
  const here: Heading = {
    benchmark: name,
    protocol: how,
    model: settings.modelIdentity,
    backend: settings.backend,
  }
  const answered = readAnswered(settings.itemsFile, here)
  const out = openSync(settings.itemsFile, 'w')
  const keep = (value: object) => writeSync(out, `${JSON.stringify(value)}\n`)
  const results: AnsweredItem[] = []
  try {
    keep(here)
    const waiting = asked.filter(({ item, sample }) => {
      const known = answered.get(keyOf({ id: item.id, sample }))
      if (known?.prompt !== item.prompt) return true
      keep(known)
      results.push(known)
      onItem(known)
      return false
    })
    const tell = () =>
      settings.onProgress(results.length, asked.length, results.filter(({ correct }) => correct).length)
    tell()
    const answers = answerItems(
      model,
      tokenizer,
      benchmark,
      waiting,
      { maxNewTokens, batchSize, sampling },
      hook,
    )
    while (!settings.isInterrupted()) {
      const batch = await answers.next()
      if (batch.done) break
      for (const result of batch.value) {
        keep(result)
        onItem(result)
      }
      results.push(...batch.value)
      tell()
    }
  } finally {
    closeSync(out)
  }
  return {
    benchmark: name,
    title: benchmarkTitle(name, protocol.name),
    protocol: how,
    ...scoreOf(benchmark, results, settings.ks),
    isComplete: results.length === asked.length,
  }
}

function keyOf({ id, sample }: Pick<AnsweredItem, 'id' | 'sample'>): string {
  return `${id}#${sample}`
}

/** Answers of an earlier evaluation of the same; none where anything that decides an answer differs. */
function readAnswered(file: string, here: Heading): Map<string, AnsweredItem> {
  if (!existsSync(file)) return new Map()
  const [first = '', ...lines] = readFileSync(file, 'utf8').split('\n')
  const found = heading.safeParse(parseLine(first))
  if (!found.success || JSON.stringify(found.data) !== JSON.stringify(here)) return new Map()
  // The last line of a killed evaluation may be torn: it is answered again.
  const items = lines.flatMap((line) => answeredItem.safeParse(parseLine(line)).data ?? [])
  return new Map(items.map((item) => [keyOf(item), item]))
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}
