/** What a task of our own is: an endless source of records with one right answer each. */
import type { InstructionRecord } from '../data/records.ts'
import type { Random } from '../random.ts'

/** `output` is what the model should write; `answer` the part of it that people compare; `type` the family of questions. */
export interface TaskRecord extends InstructionRecord {
  readonly answer: string
  readonly type: string
}

/** One family of questions: draws a record, all randomness from `random`. */
export type Question = (random: Random) => { instruction: string; output: string; answer?: string }

export interface Task {
  readonly title: string
  readonly description: string
  /** By type. */
  readonly questions: Readonly<Record<string, Question>>
}
