/** A model answers a benchmark: every item kept as it is answered, so that an evaluation that was interrupted goes on. */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { z } from 'zod'
import { generate } from '../eval/generate.ts'
import type { Model } from '../model/model.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
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
export type AnsweredItem = z.infer<typeof answeredItem>

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
    for (let start = 0; start < waiting.length && !settings.isInterrupted(); start += settings.batchSize) {
      const batch = waiting.slice(start, start + settings.batchSize)
      const tokens = await generate(
        model,
        batch.map(({ prompt }) => tokenizer.encode(prompt)),
        {
          maxNewTokens,
          batchSize: settings.batchSize,
          stopTokenIds: new Set([tokenizer.endTokenId, ...model.stopTokenIds]),
        },
      )
      for (const [index, item] of batch.entries()) {
        const completion = tokenizer.decode(tokens[index]!)
        const verdict = await benchmark.judge(item, completion)
        const { id, prompt, reference } = item
        const result: AnsweredItem = { id, prompt, completion, reference, ...verdict }
        keep(result)
        results.push(result)
      }
      tell()
    }
  } finally {
    closeSync(out)
  }
  const correct = results.filter((result) => result.correct).length
  const share = results.length === 0 ? null : correct / results.length
  return {
    benchmark: benchmark.name,
    title: benchmark.title,
    protocol: `${protocol.name} ${protocol.version}, zero-shot, greedy, at most ${maxNewTokens} tokens`,
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
