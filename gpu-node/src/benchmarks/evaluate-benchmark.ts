/** A model answers a benchmark: every item kept as it is answered, so that an evaluation that was interrupted goes on. */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { benchmarkTitles } from '@rankscope/protocol'
import { z } from 'zod'
import type { Model } from '../model/model.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { type AnsweredItem, answerItems } from './answer-items.ts'
import { protocolText } from './benchmark.ts'
import type { NamedBenchmark } from './index.ts'

const answeredItem = z.object({
  id: z.string(),
  prompt: z.string(),
  completion: z.string(),
  reference: z.string(),
  correct: z.boolean(),
  extracted: z.string().nullable(),
  reason: z.string().nullable(),
})

/** First line of an items file: what its answers hold for. */
const heading = z.object({
  benchmark: z.string(),
  protocol: z.string(),
  version: z.int(),
  maxNewTokens: z.int(),
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
  readonly limit: number | null
  readonly batchSize: number
  readonly maxNewTokens: number | null
  /** Looked at between batches; true ends the evaluation there. */
  readonly isInterrupted: () => boolean
  readonly onProgress: (done: number, total: number, correct: number) => void
}

export interface BenchmarkScore {
  readonly benchmark: string
  readonly title: string
  readonly protocol: string
  readonly items: number
  readonly correct: number
  /** 0..1; null without an item. */
  readonly accuracy: number | null
  /** Half the width of the 95 % interval of a share (Wald); null without an item. */
  readonly halfWidth: number | null
  readonly isComplete: boolean
}

export async function evaluateBenchmark(
  model: Model,
  tokenizer: TextTokenizer,
  { benchmark, file }: NamedBenchmark,
  settings: EvaluationSettings,
): Promise<BenchmarkScore> {
  const { protocol } = benchmark
  const maxNewTokens = settings.maxNewTokens ?? protocol.maxNewTokens
  const items = (await benchmark.read(file)).slice(0, settings.limit ?? undefined)
  const here: Heading = {
    benchmark: benchmark.name,
    protocol: protocol.name,
    version: protocol.version,
    maxNewTokens,
    model: settings.modelIdentity,
    backend: settings.backend,
  }
  const answered = readAnswered(settings.itemsFile, here)
  const out = openSync(settings.itemsFile, 'w')
  const keep = (value: object) => writeSync(out, `${JSON.stringify(value)}\n`)
  const results: AnsweredItem[] = []
  try {
    keep(here)
    const waiting = items.filter((item) => {
      const known = answered.get(item.id)
      if (known?.prompt !== item.prompt) return true
      keep(known)
      results.push(known)
      return false
    })
    const tell = () =>
      settings.onProgress(results.length, items.length, results.filter(({ correct }) => correct).length)
    tell()
    const { batchSize } = settings
    const answers = answerItems(model, tokenizer, benchmark, waiting, { maxNewTokens, batchSize })
    while (!settings.isInterrupted()) {
      const batch = await answers.next()
      if (batch.done) break
      for (const result of batch.value) keep(result)
      results.push(...batch.value)
      tell()
    }
  } finally {
    closeSync(out)
  }
  const correct = results.filter((result) => result.correct).length
  const share = results.length === 0 ? null : correct / results.length
  return {
    benchmark: benchmark.name,
    title: benchmarkTitles[benchmark.name],
    protocol: protocolText(protocol, maxNewTokens),
    items: results.length,
    correct,
    accuracy: share,
    halfWidth: share === null ? null : 1.959963984540054 * Math.sqrt((share * (1 - share)) / results.length),
    isComplete: results.length === items.length,
  }
}

/** Answers of an earlier evaluation of the same; none where anything that decides an answer differs. */
function readAnswered(file: string, here: Heading): Map<string, AnsweredItem> {
  if (!existsSync(file)) return new Map()
  const [first = '', ...lines] = readFileSync(file, 'utf8').split('\n')
  const found = heading.safeParse(parseLine(first))
  if (!found.success || JSON.stringify(found.data) !== JSON.stringify(here)) return new Map()
  // The last line of a killed evaluation may be torn: it is answered again.
  const items = lines.flatMap((line) => answeredItem.safeParse(parseLine(line)).data ?? [])
  return new Map(items.map((item) => [item.id, item]))
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}
