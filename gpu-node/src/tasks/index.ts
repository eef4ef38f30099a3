/**
 * The tasks that Rankscope generates itself, and their splits.
 *
 * A record belongs to one split by the hash of its instruction, whatever the seed: no instruction of the training
 * data ever appears in validation or test. The same (task, split, count, seed) gives the same records everywhere,
 * and fewer records are the beginning of more.
 */
import type { TaskName } from '@rankscope/protocol'
import { Random } from '../random.ts'
import { arithmetic } from './arithmetic.ts'
import { choice } from './choice.ts'
import { programs } from './programs.ts'
import type { Task, TaskRecord } from './task.ts'

export type { Task, TaskRecord } from './task.ts'

const single = { arithmetic, programs, choice } satisfies Partial<Record<TaskName, Task>>

export const tasks: Readonly<Record<TaskName, Task>> = {
  ...single,
  mix: {
    title: 'Mix',
    description: 'All three tasks in equal parts.',
    questions: Object.fromEntries(
      Object.entries(single).map(([name, task]) => [
        name,
        (random: Random) => random.pick(Object.values(task.questions))(random),
      ]),
    ),
  },
}

export const splits = ['train', 'validation', 'test'] as const
export type Split = (typeof splits)[number]

/** Of 10 instructions 8 are for training, one for validation, one for test. */
export function splitOf(instruction: string): Split {
  let hash = 0x811c9dc5
  for (let i = 0; i < instruction.length; i++) hash = Math.imul(hash ^ instruction.charCodeAt(i), 0x01000193)
  // FNV-1a mixes its low bits poorly: fold the high ones in before taking the remainder.
  const bucket = ((hash ^ (hash >>> 15)) >>> 0) % 10
  return bucket === 0 ? 'test' : bucket === 1 ? 'validation' : 'train'
}

/**
 * `count` records of a split, its types in equal parts on average. No instruction repeats: where a task runs out of
 * new ones, the list is as long as it can be.
 */
export function taskRecords(name: TaskName, split: Split, count: number, seed: number): TaskRecord[] {
  const random = new Random(seed).fork(`${name} ${split}`)
  const questions = Object.entries(tasks[name].questions)
  const seen = new Set<string>()
  const records: TaskRecord[] = []
  for (let misses = 0; records.length < count && misses < 10_000; misses++) {
    const [type, question] = random.pick(questions)
    const drawn = question(random)
    if (seen.has(drawn.instruction) || splitOf(drawn.instruction) !== split) continue
    misses = 0
    seen.add(drawn.instruction)
    records.push({ ...drawn, answer: drawn.answer ?? drawn.output, type })
  }
  return records
}
