/**
 * Benchmarks whose answer is a program: HumanEval (arXiv 2107.03374) and MBPP (arXiv 2108.07732). A completion is cut as
 * PiSSA's `code_process` does, joined with the prompt, and run against the tests inside a sandbox, never bare.
 *
 * The base tests of the original files, not EvalPlus's further ones. The instruction around the problem is not published
 * with the paper's data; “Create a Python script for this problem” is WizardCoder's. lm-eval's tasks humaneval and mbpp have
 * the problem itself as prompt, and cut the completion at the first stop string alone.
 */
import { benchmarkTitles, RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import {
  alpacaPrompt,
  type BenchmarkItem,
  type Protocol,
  type Verdict,
  type WrittenBenchmark,
} from './benchmark.ts'
import { fewShotPrompt, lmEvalProtocol } from './lm-eval.ts'
import { readRows } from './rows.ts'
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

const pissa: Protocol = { name: 'pissa', version: 1, note: '', shots: 0, maxNewTokens: 1024 }

type Given = Pick<WrittenBenchmark, 'name' | 'files' | 'protocol' | 'stops'> & {
  readonly read: (file: string) => Promise<CodeItem[]>
  /** The code of a completion. */
  readonly codeOf: (completion: string) => string
}

function codeBenchmark({ codeOf: cut, ...given }: Given): WrittenBenchmark<CodeItem> {
  return {
    ...given,
    kind: 'write',
    metric: 'pass@1',
    trainFiles: null,
    runsPrograms: true,
    judge: ({ program }, completion) => judgeProgram(program(cut(completion)), cut(completion)),
  }
}

const humanEvalFiles = ['HumanEval.jsonl', 'HumanEval.jsonl.gz', 'humaneval.jsonl']

/** `promptOf`: what the model is asked, of the problem. */
function readHumanEval(file: string, promptOf: (problem: string) => string): Promise<CodeItem[]> {
  return readRows(file, benchmarkTitles.humaneval, (row) => {
    const {
      task_id: id,
      prompt,
      entry_point: entry,
      test,
      canonical_solution: reference,
    } = humanEvalRow.parse(row)
    return {
      id,
      prompt: promptOf(prompt),
      reference,
      program: (code) => `${prompt}${code}\n${test}\ncheck(${entry})\n`,
    }
  })
}

const asScript = (problem: string) => alpacaPrompt(`Create a Python script for this problem:\n${problem}`)

export const humanEval = codeBenchmark({
  name: 'humaneval',
  protocol: pissa,
  files: humanEvalFiles,
  stops: [],
  codeOf,
  read: (file) => readHumanEval(file, asScript),
})

export const humanEvalLmEval = codeBenchmark({
  name: 'humaneval',
  protocol: lmEvalProtocol('humaneval 1.0', { maxNewTokens: 1024 }),
  files: humanEvalFiles,
  stops: ['\nclass', '\ndef', '\n#', '\nif', '\nprint'],
  codeOf: (completion) => completion,
  read: (file) => readHumanEval(file, (problem) => problem),
})

const mbppFiles = ['mbpp.jsonl', 'sanitized-mbpp.json']

export const mbpp = codeBenchmark({
  name: 'mbpp',
  protocol: pissa,
  files: mbppFiles,
  stops: [],
  codeOf,
  read: (file) =>
    readRows(file, benchmarkTitles.mbpp, (row) => {
      const {
        task_id: id,
        text,
        prompt,
        code,
        test_list: tests,
        test_setup_code: setUp,
        test_imports: imports,
      } = mbppRow.parse(row)
      return {
        id: String(id),
        // EvalPlus's form: the text with one test as a doc comment.
        prompt: asScript(`"""\n${text ?? prompt ?? ''}\n${tests[0]}\n"""\n`),
        reference: code.replaceAll('\r', ''),
        program: (completion) => [...imports, completion, setUp, ...tests, ''].join('\n'),
      }
    }),
})

/** Of the full data set: problems 2, 3 and 4 are the solved examples, 11 to 510 the test split. */
const mbppFullRow = mbppRow.extend({ task_id: z.int(), text: z.string(), code: z.string() })
const mbppShots = [2, 3, 4]

export const mbppLmEval = codeBenchmark({
  name: 'mbpp',
  protocol: lmEvalProtocol('mbpp 1.0', { shots: mbppShots.length }),
  files: mbppFiles.slice(0, 1),
  stops: ['[DONE]'],
  codeOf: (completion) => completion,
  async read(file) {
    const rows = await readRows(file, 'the full MBPP', (row) => mbppFullRow.parse(row))
    const solved = mbppShots.flatMap((shot) => {
      const row = rows.find(({ task_id: id }) => id === shot)
      return row ? [`${mbppQuestion(row)}${row.code}\n[DONE]`] : []
    })
    if (solved.length < mbppShots.length)
      throw new RankscopeError(
        'DATA_BROKEN',
        `${file}: problems ${mbppShots.join(', ')} are the solved examples of lm-eval's prompt, and are not in it`,
        { hint: 'name the file of the full MBPP (974 problems)' },
      )
    return rows
      .filter(({ task_id: id }) => id > 10 && id <= 510)
      .map((row) => ({
        id: String(row.task_id),
        prompt: fewShotPrompt(solved, mbppQuestion(row)),
        reference: row.code.replaceAll('\r', ''),
        program: (code) => `${code}\n${row.test_list.slice(0, 3).join('\n')}\n`,
      }))
  },
})

function mbppQuestion({ text, test_list: tests }: z.infer<typeof mbppFullRow>): string {
  return `You are an expert Python programmer, and here is your task: ${text} Your code should pass these tests:\n\n${tests.slice(0, 3).join('\n')}\n[BEGIN]\n`
}

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
