/**
 * The commonsense sets as lm-eval has them: the model says how likely each answer is, and the likeliest is its choice (acc),
 * or the likeliest per character (acc_norm), where the task has that.
 *
 * Rows are those of the original data sets. LLM-Adapters' rows are the same questions inside an instruction, and are taken
 * apart where they keep every field; its BoolQ has no passages, and its HellaSwag endings of another form.
 */
import { type BenchmarkName, benchmarkTitles, RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import type { BenchmarkItem, Choice, ChosenBenchmark } from './benchmark.ts'
import { lmEvalProtocol } from './lm-eval.ts'
import { readRows } from './rows.ts'

/** A question as the harness asks it. */
interface Question {
  readonly choices: readonly Choice[]
  /** What is shown of each, and whose length acc_norm divides by. */
  readonly answers: readonly string[]
  readonly gold: number
}

type ChoiceItem = BenchmarkItem & Question

interface Given {
  readonly name: BenchmarkName
  readonly task: string
  readonly files: readonly string[]
  readonly hasNorm: boolean
  /** Throws a ZodError where the row is none of this set. */
  readonly question: (row: unknown) => Question
  /** The original row in an instruction of LLM-Adapters, its answer's number from 0; null where it cannot be had. */
  readonly recovered: ((instruction: string, answer: number) => unknown) | null
}

function choiceBenchmark(given: Given): ChosenBenchmark<ChoiceItem> {
  const { name, task, files, hasNorm, question, recovered } = given
  return {
    name,
    kind: 'choose',
    metric: 'acc',
    protocol: lmEvalProtocol(task),
    files,
    trainFiles: null,
    runsPrograms: false,
    read: (file) =>
      readRows(file, benchmarkTitles[name], (row, index): ChoiceItem => {
        const asked = question(originalOf(row, name, recovered))
        const { choices, answers, gold } = asked
        const shared = new Set(choices.map(({ context }) => context)).size === 1
        return {
          id: `${name}/${index}`,
          prompt: shared ? choices[0]!.context : choices.map(({ context }) => context).join('\n'),
          reference: answers[gold]!,
          ...asked,
        }
      }),
    choices: ({ choices }) => choices,
    judge({ answers, gold }, logLikelihoods) {
      const chosen = largest(logLikelihoods)
      const perCharacter = logLikelihoods.map((value, at) => value / [...answers[at]!].length)
      return {
        correct: chosen === gold,
        extracted: answers[chosen]!,
        reason: null,
        ...(hasNorm && { also: { acc_norm: largest(perCharacter) === gold } }),
      }
    },
  }
}

/** The first of the largest. */
function largest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values))
}

/** One context, a space, and each answer. */
function ask(context: string, answers: readonly string[], gold: number): Question {
  if (answers[gold] === undefined)
    throw new RankscopeError('DATA_BROKEN', `the right answer is none of the ${answers.length} choices`)
  return { choices: answers.map((answer) => ({ context, continuation: ` ${answer}` })), answers, gold }
}

const adaptersRow = z.object({ instruction: z.string(), answer: z.string() })

function originalOf(row: unknown, name: BenchmarkName, recovered: Given['recovered']): unknown {
  const adapters = adaptersRow.safeParse(row)
  if (!adapters.success) return row
  if (recovered === null)
    throw new RankscopeError(
      'DATA_BROKEN',
      `a row of LLM-Adapters, which does not keep what lm-eval asks of ${benchmarkTitles[name]}`,
      { hint: 'name a file of the original data set, or score it by the protocol pissa' },
    )
  const { instruction, answer } = adapters.data
  const found = recovered(instruction, Number(/\d+$/.exec(answer)?.[0] ?? Number.NaN) - 1)
  if (found === null)
    throw new RankscopeError('DATA_BROKEN', 'its instruction is not of the form that LLM-Adapters gives it')
  return found
}

/** `Answer1: … Answer2: …` as texts. */
function listed(text: string, word: string): string[] {
  return text.split(new RegExp(` ?${word}\\d: `)).slice(1)
}

const choiceList = z.object({ text: z.array(z.string()).min(2), label: z.array(z.string()) })
const number = z.union([
  z.int(),
  z
    .string()
    .regex(/^\s*\d+\s*$/)
    .transform(Number),
])

const boolqRow = z.object({
  passage: z.string(),
  question: z.string(),
  label: z.int().min(0).max(1).optional(),
  answer: z.boolean().optional(),
})
const boolq = choiceBenchmark({
  name: 'boolq',
  task: 'boolq 2.0',
  files: ['boolq.jsonl', 'boolq/validation.jsonl', 'boolq/val.jsonl', 'boolq.json'],
  hasNorm: false,
  question(row) {
    const { passage, question, label, answer } = boolqRow.parse(row)
    const gold = label ?? (answer === undefined ? -1 : Number(answer))
    return ask(`${passage}\nQuestion: ${question}?\nAnswer:`, ['no', 'yes'], gold)
  },
  recovered: null,
})

const piqaRow = z.object({ goal: z.string(), sol1: z.string(), sol2: z.string(), label: number })
const piqa = choiceBenchmark({
  name: 'piqa',
  task: 'piqa 1.0',
  files: ['piqa.jsonl', 'piqa/validation.jsonl', 'piqa.json', 'piqa/test.json'],
  hasNorm: true,
  question(row) {
    const { goal, sol1, sol2, label } = piqaRow.parse(row)
    return ask(`Question: ${goal}\nAnswer:`, [sol1, sol2], label)
  },
  recovered(instruction, label) {
    const found =
      /^Please choose the correct solution to the question: ([\s\S]*)\n\nSolution1: ([\s\S]*)\n\nSolution2: ([\s\S]*)\n\nAnswer format:/.exec(
        instruction,
      )
    return found && { goal: found[1], sol1: found[2], sol2: found[3], label }
  },
})

const siqaRow = z.object({
  context: z.string(),
  question: z.string(),
  answerA: z.string(),
  answerB: z.string(),
  answerC: z.string(),
  label: number,
})
const siqa = choiceBenchmark({
  name: 'siqa',
  task: 'social_iqa 0.0',
  files: ['social_i_qa.jsonl', 'siqa/validation.jsonl', 'social_i_qa.json', 'social_i_qa/test.json'],
  hasNorm: false,
  question(row) {
    const { context, question, answerA, answerB, answerC, label } = siqaRow.parse(row)
    const asked = context === '' ? question : `${context} ${question}`
    return ask(`Q: ${asked}\nA:`, [answerA, answerB, answerC], label - 1)
  },
  recovered(instruction, label) {
    const found = answersOf(instruction)
    if (found?.texts.length !== 3) return null
    const [answerA, answerB, answerC] = found.texts
    return { context: '', question: found.question, answerA, answerB, answerC, label: label + 1 }
  },
})

const hellaswagRow = z.object({
  activity_label: z.string(),
  ctx_a: z.string(),
  ctx_b: z.string(),
  endings: z.array(z.string()).length(4),
  label: number,
})
const hellaswag = choiceBenchmark({
  name: 'hellaswag',
  task: 'hellaswag 1.0',
  files: ['hellaswag.jsonl', 'hellaswag/validation.jsonl', 'hellaswag_val.jsonl', 'hellaswag.json'],
  hasNorm: true,
  question(row) {
    const { activity_label: activity, ctx_a: first, ctx_b: second, endings, label } = hellaswagRow.parse(row)
    const context = cleaned(`${activity}: ${first} ${capitalized(second)}`)
    return ask(context, endings.map(cleaned), label)
  },
  recovered: null,
})

/** What WikiHow's headings leave behind: `[title]` becomes a full stop, other brackets go. */
function cleaned(text: string): string {
  return text
    .trim()
    .replaceAll(' [title]', '. ')
    .replaceAll(/\[.*?\]/g, '')
    .replaceAll('  ', ' ')
}

/** The first letter large, all others small. */
function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1).toLowerCase()
}

const winograndeRow = z.object({
  sentence: z.string().includes('_'),
  option1: z.string(),
  option2: z.string(),
  answer: number,
})
const winogrande = choiceBenchmark({
  name: 'winogrande',
  task: 'winogrande 1.0',
  files: ['winogrande.jsonl', 'winogrande/validation.jsonl', 'winogrande.json', 'winogrande/test.json'],
  hasNorm: false,
  // Each option in its place is a context, and what follows the blank is scored after it.
  question(row) {
    const { sentence, option1, option2, answer } = winograndeRow.parse(row)
    const blank = sentence.indexOf('_')
    const answers = [option1, option2]
    const continuation = ` ${sentence.slice(blank + 1).trim()}`
    const choices = answers.map((option) => ({ context: sentence.slice(0, blank) + option, continuation }))
    return { ...ask('', answers, answer - 1), choices }
  },
  recovered(instruction, answer) {
    const found =
      /^Please choose the correct answer to fill in the blank to complete the given sentence: ([\s\S]*)\n\nOption1: ([\s\S]*) Option2: ([\s\S]*?)\s+Answer format:/.exec(
        instruction,
      )
    return found && { sentence: found[1], option1: found[2], option2: found[3], answer: answer + 1 }
  },
})

const arcRow = z.object({ question: z.string(), choices: choiceList, answerKey: z.string() })
const arc = (['arc-e', 'arc-c'] as const).map((name) => {
  const folder = name === 'arc-e' ? 'ARC-Easy' : 'ARC-Challenge'
  return choiceBenchmark({
    name,
    task: `${name === 'arc-e' ? 'arc_easy' : 'arc_challenge'} 1.0`,
    files: [`${folder}.jsonl`, `${folder}/test.jsonl`, `${folder}.json`, `${folder}/test.json`],
    hasNorm: true,
    question(row) {
      const { question, choices, answerKey } = arcRow.parse(row)
      return ask(`Question: ${question}\nAnswer:`, choices.text, choices.label.indexOf(answerKey))
    },
    recovered: (instruction, gold) => withLabels(instruction, gold, 'question'),
  })
})

const obqaRow = z.object({ question_stem: z.string(), choices: choiceList, answerKey: z.string() })
const obqa = choiceBenchmark({
  name: 'obqa',
  task: 'openbookqa 1.0',
  files: ['openbookqa.jsonl', 'openbookqa/test.jsonl', 'openbookqa.json', 'openbookqa/test.json'],
  hasNorm: true,
  question(row) {
    const { question_stem: question, choices, answerKey } = obqaRow.parse(row)
    return ask(question, choices.text, choices.label.indexOf(answerKey.trimStart()))
  },
  recovered: (instruction, gold) => withLabels(instruction, gold, 'question_stem'),
})

function answersOf(instruction: string): { question: string; texts: string[] } | null {
  const found =
    /^Please choose the correct answer to the question: ([\s\S]*?)\n\n(Answer1: [\s\S]*)\n\nAnswer format:/.exec(
      instruction,
    )
  return found && { question: found[1]!, texts: listed(found[2]!, 'Answer') }
}

function withLabels(instruction: string, gold: number, questionField: string): unknown {
  const found = answersOf(instruction)
  if (!found) return null
  const label = found.texts.map((_, at) => String(at + 1))
  return {
    [questionField]: found.question,
    choices: { text: found.texts, label },
    answerKey: String(gold + 1),
  }
}

export const commonsenseLmEval = [boolq, piqa, siqa, hellaswag, winogrande, ...arc, obqa]
