/**
 * Benchmarks whose answer is a program: HumanEval (arXiv 2107.03374) and MBPP (arXiv 2108.07732). A completion is cut as
 * PiSSA's `code_process` does, joined with the prompt, and run against the tests inside a sandbox, never bare.
 *
 * The base tests of the original files, not EvalPlus's further ones. The instruction around the problem is not published
 * with the paper's data; “Create a Python script for this problem” is WizardCoder's.
 */
import { benchmarkTitles, RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import { readValues } from '../data/read-values.ts'
import { alpacaPrompt, type Benchmark, type BenchmarkItem, type Verdict } from './benchmark.ts'
import { runProgram } from './sandbox.ts'

type CodeItem = BenchmarkItem & {
  /** The whole program that scores a completion. */
  readonly program: (code: string) => string
}

/** EvalPlus gives a test at least four seconds; starting an interpreter in a sandbox takes some of one. */
const secondsPerProgram = 8

const humanEvalRow = z.object({
  task_id: z.string(),
  prompt: z.string(),
  entry_point: z.string().regex(/^[A-Za-z_]\w*$/),
  canonical_solution: z.string().default(''),
  test: z.string(),
})

const mbppRow = z.object({
  task_id: z.union([z.int(), z.string()]),
  text: z.string().optional(),
  prompt: z.string().optional(),
  code: z.string().default(''),
  test_list: z.array(z.string()).min(1),
  test_setup_code: z.string().default(''),
  test_imports: z.array(z.string()).default([]),
})

function codeBenchmark(
  given: Pick<Benchmark, 'name' | 'files'>,
  itemOf: (row: unknown) => CodeItem,
): Benchmark<CodeItem> {
  return {
    ...given,
    runsPrograms: true,
    protocol: { name: 'pissa', version: 1, maxNewTokens: 1024 },
    async read(file) {
      const items: CodeItem[] = []
      for await (const values of readValues(file))
        for (const { value, place } of values)
          items.push(placed(() => itemOf(value), place, benchmarkTitles[given.name]))
      return items
    },
    judge: ({ program }, completion) => judgeProgram(program(codeOf(completion)), codeOf(completion)),
  }
}

/** What `make` returns; a row that does not fit is DATA_BROKEN with its place. */
function placed(make: () => CodeItem, place: string, title: string): CodeItem {
  try {
    return make()
  } catch (cause) {
    if (!(cause instanceof z.ZodError)) throw cause
    const [issue] = cause.issues
    throw new RankscopeError('DATA_BROKEN', `${place}: ${issue!.path.join('.')}: ${issue!.message}`, {
      cause,
      hint: `a row of ${title} is expected`,
    })
  }
}

export const humanEval = codeBenchmark(
  {
    name: 'humaneval',
    files: ['HumanEval.jsonl', 'HumanEval.jsonl.gz', 'humaneval.jsonl'],
  },
  (row) => {
    const {
      task_id: id,
      prompt,
      entry_point: entry,
      test,
      canonical_solution: reference,
    } = humanEvalRow.parse(row)
    return {
      id,
      prompt: alpacaPrompt(`Create a Python script for this problem:\n${prompt}`),
      reference,
      program: (code) => `${prompt}${code}\n${test}\ncheck(${entry})\n`,
    }
  },
)

export const mbpp = codeBenchmark({ name: 'mbpp', files: ['mbpp.jsonl', 'sanitized-mbpp.json'] }, (row) => {
  const {
    task_id: id,
    text,
    prompt,
    code,
    test_list: tests,
    test_setup_code: setUp,
    test_imports: imports,
  } = mbppRow.parse(row)
  // EvalPlus's form: the text with one test as a doc comment.
  const problem = `"""\n${text ?? prompt ?? ''}\n${tests[0]}\n"""\n`
  return {
    id: String(id),
    prompt: alpacaPrompt(`Create a Python script for this problem:\n${problem}`),
    reference: code.replaceAll('\r', ''),
    program: (completion) => [...imports, completion, setUp, ...tests, ''].join('\n'),
  }
})

/** The code of a completion, by PiSSA's rules: each cut takes the white space around it along. */
export function codeOf(completion: string): string {
  let text = completion.replaceAll('\r', '')
  const start = text.indexOf('```python')
  if (start !== -1) {
    text = text.slice(start + '```python'.length)
    const end = text.indexOf('\n```')
    text = (end === -1 ? text : text.slice(0, end)).trim()
  }
  for (const mark of ['if __name__ == "__main__":', '# Example usage', 'assert']) {
    const at = text.indexOf(mark)
    if (at !== -1) text = text.slice(0, at).trim()
  }
  return text
}

async function judgeProgram(program: string, code: string): Promise<Verdict> {
  const { outcome, detail } = await runProgram(program, { seconds: secondsPerProgram })
  return {
    correct: outcome === 'passed',
    extracted: code,
    reason: outcome === 'passed' ? null : (detail ?? outcome),
  }
}
