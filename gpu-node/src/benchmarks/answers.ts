/** Benchmarks whose answer is a number, a formula or a word: GSM8K, MATH and the eight commonsense sets. */
import type { BenchmarkName } from '@rankscope/protocol'
import { type InstructionRecord, readRecords } from '../data/records.ts'
import { commonsenseAnswer } from '../eval/commonsense.ts'
import { metaMathNumber, officialNumber } from '../eval/gsm8k.ts'
import { boxedAnswer, statedAnswer } from '../eval/math.ts'
import { type ScorerName, scorers } from '../eval/scorers.ts'
import { alpacaPrompt, type BenchmarkItem, type WrittenBenchmark } from './benchmark.ts'

type AnswerItem = BenchmarkItem & { readonly record: InstructionRecord }

interface Given {
  readonly name: BenchmarkName
  readonly files: readonly string[]
  readonly scorer: ScorerName
  /** What the scorer looks for in a completion. */
  readonly extract: (completion: string, reference: string) => string | null
  /** 1,024 in the papers; a word needs fewer, and greedy decoding is the same as far as it goes. */
  readonly maxNewTokens: number
}

function answerBenchmark({
  name,
  files,
  scorer: scorerName,
  extract,
  maxNewTokens,
}: Given): WrittenBenchmark<AnswerItem> {
  const scorer = scorers[scorerName]
  return {
    name,
    files,
    kind: 'write',
    metric: 'accuracy',
    stops: [],
    trainFiles: null,
    runsPrograms: false,
    protocol: { name: 'pissa', version: 1, note: '', shots: 0, maxNewTokens },
    async read(file) {
      const records: InstructionRecord[] = []
      for await (const part of readRecords(file, null)) records.push(...part)
      return records.map((record, index) => ({
        id: `${name}/${index}`,
        prompt: `${alpacaPrompt(record.instruction)}${scorer.promptSuffix}`,
        reference: scorer.reference(record),
        record,
      }))
    },
    judge: async ({ record, reference }, completion) => ({
      correct: await scorer.correct(completion, record),
      extracted: extract(completion, reference),
      reason: null,
    }),
  }
}

const number = (completion: string) => {
  const found = completion.includes('The answer is: ')
    ? metaMathNumber(completion)
    : officialNumber(completion)
  return found === null ? null : String(found)
}

export const gsm8k = answerBenchmark({
  name: 'gsm8k',
  files: ['gsm8k.jsonl', 'test.jsonl', 'gsm8k_test.jsonl'],
  scorer: 'gsm8k',
  extract: number,
  maxNewTokens: 1024,
})

export const math = answerBenchmark({
  name: 'math',
  files: ['math.jsonl', 'test.jsonl', 'math500.jsonl'],
  scorer: 'math',
  extract: (completion) => statedAnswer(completion) ?? boxedAnswer(completion),
  maxNewTokens: 1024,
})

const sets = ['boolq', 'piqa', 'siqa', 'hellaswag', 'winogrande', 'arc-e', 'arc-c', 'obqa'] as const

/** As LLM-Adapters names its folders and files. */
const otherNames: Readonly<Partial<Record<BenchmarkName, string>>> = {
  siqa: 'social_i_qa',
  'arc-e': 'ARC-Easy',
  'arc-c': 'ARC-Challenge',
  obqa: 'openbookqa',
}

export const commonsense = sets.map((name) => {
  const folder = otherNames[name] ?? name
  return answerBenchmark({
    name,
    files: [`${folder}.json`, `${folder}/test.json`, `${name}.json`],
    scorer: 'commonsense',
    extract: commonsenseAnswer,
    maxNewTokens: 32,
  })
})
