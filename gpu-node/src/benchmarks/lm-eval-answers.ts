/** GSM8K and MATH as lm-eval has them: the tasks gsm8k (5-shot, drawn from the training split) and minerva_math (4-shot). */
import { RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import { boxedAnswer } from '../eval/math.ts'
import { finalAnswer, normalizeFinalAnswer } from '../eval/minerva.ts'
import type { BenchmarkItem, WrittenBenchmark } from './benchmark.ts'
import { fewShotPrompt, lmEvalProtocol } from './lm-eval.ts'
import { PythonRandom } from './python-random.ts'
import { readRows } from './rows.ts'

const gsm8kRow = z.object({ question: z.string(), answer: z.string() })
const shots = 5
/** The harness's own: every question draws its examples anew, in the order of the test split. */
const fewShotSeed = 1234

export const gsm8kLmEval: WrittenBenchmark = {
  name: 'gsm8k',
  kind: 'write',
  metric: 'strict-match',
  protocol: lmEvalProtocol('gsm8k 3.0', { shots }),
  files: ['gsm8k.jsonl', 'test.jsonl', 'gsm8k_test.jsonl'],
  trainFiles: ['gsm8k_train.jsonl', 'train.jsonl'],
  runsPrograms: false,
  stops: ['Question:', '</s>', '<|im_end|>'],
  async read(file, trainFile) {
    const ask = ({ question }: { question: string }) => `Question: ${question}\nAnswer:`
    const train = await readRows(trainFile!, 'GSM8K', (row) => gsm8kRow.parse(row))
    if (train.length < shots)
      throw new RankscopeError(
        'DATA_EMPTY',
        `${trainFile}: ${shots} examples are needed, it has ${train.length}`,
      )
    const solved = train.map((row) => `${ask(row)} ${row.answer}`)
    const random = new PythonRandom(fewShotSeed)
    return readRows(file, 'GSM8K', (row, index): BenchmarkItem => {
      const { question, answer } = gsm8kRow.parse(row)
      return {
        id: `gsm8k/${index}`,
        prompt: fewShotPrompt(random.sample(solved, shots), ask({ question })),
        reference: comparable(answer),
      }
    })
  },
  async judge({ reference }, completion) {
    const strict = /#### (-?[0-9.,]+)/.exec(completion)?.[1] ?? null
    const flexible = completion.match(/-?[$0-9.,]{2,}|-?[0-9]+/g)?.at(-1) ?? null
    const agrees = (found: string | null) => found !== null && comparable(found) === reference
    return {
      correct: agrees(strict),
      extracted: strict ?? flexible,
      reason: null,
      also: { 'flexible-extract': agrees(flexible) },
    }
  },
}

/** As the harness's exact_match compares: commas, dollar signs, all up to the last "#### " and a last full stop go. */
function comparable(text: string): string {
  return text
    .replaceAll(',', '')
    .replaceAll('$', '')
    .replace(/[\s\S]*#### /, '')
    .replace(/\.$/, '')
    .toLowerCase()
}

const mathRow = z.object({ problem: z.string(), solution: z.string() })

/** `\\boxed 2` has no braces: it goes to the end of its formula. */
function goldOf(solution: string): string | null {
  const bare = solution.split('\\boxed ')
  return bare.length > 1 ? bare.at(-1)!.split('$')[0]! : boxedAnswer(solution)
}

/** Minerva's four examples, part of the prompt. */
const minervaShots: readonly (readonly [problem: string, solution: string])[] = [
  [
    'Find the domain of the expression  $\\frac{\\sqrt{x-2}}{\\sqrt{5-x}}$.}',
    'The expressions inside each square root must be non-negative. Therefore, $x-2 \\ge 0$, so $x\\ge2$, and $5 - x \\ge 0$, so $x \\le 5$. Also, the denominator cannot be equal to zero, so $5-x>0$, which gives $x<5$. Therefore, the domain of the expression is $\\boxed{[2,5)}$.\nFinal Answer: The final answer is $[2,5)$. I hope it is correct.',
  ],
  [
    'If $\\det \\mathbf{A} = 2$ and $\\det \\mathbf{B} = 12,$ then find $\\det (\\mathbf{A} \\mathbf{B}).$',
    'We have that $\\det (\\mathbf{A} \\mathbf{B}) = (\\det \\mathbf{A})(\\det \\mathbf{B}) = (2)(12) = \\boxed{24}.$\nFinal Answer: The final answer is $24$. I hope it is correct.',
  ],
  [
    'Terrell usually lifts two 20-pound weights 12 times. If he uses two 15-pound weights instead, how many times must Terrell lift them in order to lift the same total weight?',
    'If Terrell lifts two 20-pound weights 12 times, he lifts a total of $2\\cdot 12\\cdot20=480$ pounds of weight.  If he lifts two 15-pound weights instead for $n$ times, he will lift a total of $2\\cdot15\\cdot n=30n$ pounds of weight.  Equating this to 480 pounds, we can solve for $n$:\n\\begin{align*}\n30n&=480\\\n\\Rightarrow\\qquad n&=480/30=\\boxed{16}\n\\end{align*}\nFinal Answer: The final answer is $16$. I hope it is correct.',
  ],
  [
    'If the system of equations\n\n\\begin{align*}\n6x-4y&=a,\\\n6y-9x &=b.\n\\end{align*}has a solution $(x, y)$ where $x$ and $y$ are both nonzero,\nfind $\\frac{a}{b},$ assuming $b$ is nonzero.',
    'If we multiply the first equation by $-\\frac{3}{2}$, we obtain\n\n$$6y-9x=-\\frac{3}{2}a.$$Since we also know that $6y-9x=b$, we have\n\n$$-\\frac{3}{2}a=b\\Rightarrow\\frac{a}{b}=\\boxed{-\\frac{2}{3}}.$$\nFinal Answer: The final answer is $-\\frac{2}{3}$. I hope it is correct.',
  ],
]

export const mathLmEval: WrittenBenchmark = {
  name: 'math',
  kind: 'write',
  metric: 'exact_match',
  protocol: lmEvalProtocol('minerva_math 3.0', {
    shots: minervaShots.length,
    departure: 'equal as normalised text, where the harness also asks SymPy',
  }),
  files: ['math.jsonl', 'test.jsonl', 'math500.jsonl'],
  trainFiles: null,
  runsPrograms: false,
  stops: ['Problem:'],
  async read(file) {
    const ask = (problem: string) => `Problem:\n${problem}\n\nSolution:`
    const solved = minervaShots.map(([problem, solution]) => `${ask(problem)} ${solution}`)
    return readRows(file, 'MATH', (row, index): BenchmarkItem => {
      const { problem, solution } = mathRow.parse(row)
      const answer = goldOf(solution)
      if (answer === null)
        throw new RankscopeError('DATA_BROKEN', 'solution: it has no \\boxed answer', {
          hint: 'a row of MATH is expected',
        })
      return {
        id: `math/${index}`,
        prompt: fewShotPrompt(solved, ask(problem)),
        reference: normalizeFinalAnswer(answer),
      }
    })
  },
  async judge({ reference }, completion) {
    const extracted = normalizeFinalAnswer(finalAnswer(completion))
    return { correct: extracted === reference, extracted, reason: null }
  },
}
