/** How a completion is compared with the reference answer: one table row per scorer. */
import type { DataSource } from '@rankscope/protocol'
import type { InstructionRecord } from '../data/records.ts'
import { commonsenseAnswer } from './commonsense.ts'
import { metaMathNumber, officialNumber } from './gsm8k.ts'
import { answersAgree, boxedAnswer, statedAnswer } from './math.ts'

export type ScorerName = Extract<DataSource, { kind: 'records' }>['scorer']

export interface Scorer {
  /** What the reference asks for, as it is shown beside a completion. */
  reference(record: InstructionRecord): string
  /** At once, or later: a scorer may run a program or ask another. */
  correct(completion: string, record: InstructionRecord): boolean | Promise<boolean>
  /** Follows the prompt in evaluation, as in the published protocol of the benchmark. */
  readonly promptSuffix: string
}

export const scorers: Record<ScorerName, Scorer> = {
  /** The whole completion, white space around it aside. */
  exact: {
    reference: (record) => record.output.trim(),
    correct: (completion, record) => completion.trim() === record.output.trim(),
    promptSuffix: '',
  },
  /** A model that was trained on the data set's own solutions ends with "#### N" in place of "The answer is: N". */
  gsm8k: {
    reference: (record) => String(goldNumber(record)),
    correct(completion, record) {
      const found = completion.includes('The answer is: ')
        ? metaMathNumber(completion)
        : officialNumber(completion)
      return found !== null && found === goldNumber(record)
    },
    promptSuffix: " Let's think step by step.",
  },
  /** Likewise, a model that was trained on MATH's own solutions boxes its answer. */
  math: {
    reference: (record) => goldAnswer(record) ?? '',
    correct: (completion, record) => {
      const found = statedAnswer(completion) ?? boxedAnswer(completion)
      return found !== null && answersAgree(found, goldAnswer(record))
    },
    promptSuffix: " Let's think step by step.",
  },
  commonsense: {
    reference: goldWord,
    correct: (completion, record) => commonsenseAnswer(completion, goldWord(record)) === goldWord(record),
    promptSuffix: '',
  },
}

function goldNumber(record: InstructionRecord): number | null {
  const text = record.answer ?? record.output
  return officialNumber(text) ?? metaMathNumber(text) ?? metaMathNumber(`The answer is: ${text}`)
}

function goldAnswer(record: InstructionRecord): string | null {
  return record.answer ?? boxedAnswer(record.output) ?? statedAnswer(record.output)
}

function goldWord(record: InstructionRecord): string {
  return record.answer ?? record.output.replace(/^the correct answer is /, '')
}
