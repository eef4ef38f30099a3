/** Benchmarks held to hand-made cases of their protocol, and programs to what a sandbox must do with them. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { benchmarkNames } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import type { WrittenBenchmark } from './benchmark.ts'
import { codeOf } from './code.ts'
import { type BenchmarkItem, benchmarks, findBenchmark } from './index.ts'
import { runProgram, sandboxProblem } from './sandbox.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-benchmarks-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function written(wish: string): WrittenBenchmark {
  const { benchmark } = findBenchmark(wish, null)
  if (benchmark.kind !== 'write') throw new Error(`${benchmark.name} is not answered by writing`)
  return benchmark
}

async function judged(name: string, rows: object[], completions: readonly string[]) {
  const file = join(folder, `${name}.json`)
  writeFileSync(file, JSON.stringify(rows))
  const benchmark = written(`${name}=${file}`)
  const items = await benchmark.read(file, null)
  const verdicts = await Promise.all(completions.map((completion) => benchmark.judge(items[0]!, completion)))
  return { items, verdicts: verdicts.map(({ correct, extracted }) => [correct, extracted]) }
}

describe('answers', () => {
  it('of GSM8K: the number after the marker, rounded as MetaMath does; the data set’s own mark without one', async () => {
    const rows = [{ question: 'How many?', answer: 'So it is 1,200.\n#### 1,200' }]
    const { items, verdicts } = await judged('gsm8k', rows, [
      'The answer is: 1200',
      'The answer is: 7\nThe answer is: $1,200.00',
      '… #### 1200',
      'It is 1200.',
      'The answer is: 12.5',
    ])
    expect(items[0]!.prompt).toMatch(
      /^Below is an instruction[\s\S]*### Instruction:\nHow many\?\n\n### Response: Let's think step by step\.$/,
    )
    expect(items[0]!.reference).toBe('1200')
    expect(verdicts).toEqual([
      [true, '1200'],
      [true, '1200'],
      [true, '1200'],
      [false, null],
      [false, '12'],
    ])
  })

  it('of MATH: equal as strings after Hendrycks’ rules', async () => {
    const rows = [{ problem: 'x?', solution: 'Thus $\\boxed{\\frac{1}{2}}$.' }]
    const { verdicts } = await judged('math', rows, [
      'The answer is: \\dfrac12.\n',
      'so \\boxed{0.5}',
      'The answer is: 0.25',
    ])
    expect(verdicts).toEqual([
      [true, '\\dfrac12'],
      [true, '0.5'],
      [false, '0.25'],
    ])
  })

  it('of commonsense sets: the first word of the reference’s family, case-sensitive', async () => {
    const rows = [{ instruction: 'q', input: '', output: 'the correct answer is false', answer: 'false' }]
    const { verdicts } = await judged('boolq', rows, ['false, not true', 'True. false', 'maybe'])
    expect(verdicts).toEqual([
      [true, 'false'],
      [true, 'false'],
      [false, null],
    ])
  })

  it('that are programs are cut where PiSSA cuts them', () => {
    expect(codeOf('Sure:\n```python\ndef f():\n    return 1\n```\nDone')).toBe('def f():\n    return 1')
    expect(codeOf('    return 1\n\nif __name__ == "__main__":\n    f()')).toBe('return 1')
    expect(codeOf('def f(): pass\n# Example usage\nf()\nassert f()')).toBe('def f(): pass')
  })
})

describe('files of benchmarks', () => {
  it('are found by their usual names, and a name that is none is refused with those there are', () => {
    writeFileSync(join(folder, 'test.jsonl'), '{}\n')
    expect(findBenchmark('gsm8k', folder).file).toBe(join(folder, 'test.jsonl'))
    expect(() => findBenchmark('gsm9k', folder)).toThrow(
      expect.objectContaining({ code: 'NOT_FOUND', hint: expect.stringContaining('gsm8k') }),
    )
    expect(() => findBenchmark('mbpp', folder)).toThrow(expect.objectContaining({ code: 'DATA_NOT_FOUND' }))
    expect(() => findBenchmark('mbpp', null)).toThrow(expect.objectContaining({ code: 'DATA_NOT_FOUND' }))
    for (const all of Object.values(benchmarks))
      expect(new Set(all.map(({ name }) => name)).size).toBe(benchmarkNames.length)
  })
})

const problem = sandboxProblem()
describe.skipIf(problem !== null)(
  `programs in the sandbox ${problem === null ? '' : `(skipped: ${problem})`}`,
  () => {
    const run = (source: string, seconds = 5) => runProgram(source, { seconds })

    it('pass when they run to their end, and only then', async () => {
      expect(await run('assert 1 + 1 == 2')).toEqual({ outcome: 'passed', detail: null })
      expect(await run('assert 1 + 1 == 3, "no"')).toEqual({
        outcome: 'failed',
        detail: 'AssertionError: no',
      })
      expect(await run('def f(:')).toMatchObject({
        outcome: 'failed',
        detail: expect.stringContaining('SyntaxError'),
      })
      for (const early of ['import sys; sys.exit(0)', 'import os; os._exit(0)', 'raise SystemExit', 'quit()'])
        expect((await run(early)).outcome).toBe('failed')
      expect((await run('import os, signal; os.kill(os.getpid(), signal.SIGKILL)')).outcome).toBe('failed')
    }, 60_000)

    it('end at their time, also when they sleep, spin, or start others that do', async () => {
      for (const source of [
        'while True: pass',
        'import time; time.sleep(60)',
        'import os\nos.fork()\nimport time\ntime.sleep(60)',
      ])
        expect(await run(source, 1)).toEqual({ outcome: 'timed-out', detail: 'more than 1 s' })
    }, 60_000)

    it('cannot take more memory, processes, disk or output than their limits', async () => {
      expect((await run('x = bytearray(3 << 30)')).detail).toContain('MemoryError')
      const bomb =
        'import os\nn = 0\ntry:\n    while n < 1000:\n        if os.fork() == 0:\n            os.read(0, 1) if False else __import__("time").sleep(30)\n        n += 1\nexcept OSError:\n    pass\nassert n < 40, n\n'
      expect(await run(bomb)).toEqual({ outcome: 'passed', detail: null })
      const filler =
        'f = open("/tmp/x", "wb")\nfor _ in range(200):\n    f.write(bytes(1 << 20))\n    f.flush()\n'
      expect((await run(filler)).outcome).toBe('failed')
      expect(
        (await run('print("x" * (20 << 20)); import sys; sys.stderr.write("y" * (20 << 20))')).outcome,
      ).toBe('passed')
    }, 60_000)

    it('see no home, no environment, no network, and cannot write into the system or reach their parent', async () => {
      writeFileSync(join(folder, 'secret'), 'secret')
      const hostile = [
        `open(${JSON.stringify(join(folder, 'secret'))})`,
        'open("/root/.bashrc")',
        'open("/etc/passwd")',
        'open("/usr/bin/evil", "w")',
        'import socket; socket.create_connection(("127.0.0.1", 22), 1)',
        'import socket; socket.getaddrinfo("example.com", 80)',
        'import os; os.kill(os.getppid(), 9) if os.getppid() > 1 else os.kill(1, 9); raise OSError("alive")',
        'import os; os.setuid(0)',
        'import os; assert "SECRET_OF_THE_TEST" in os.environ',
      ]
      process.env['SECRET_OF_THE_TEST'] = '1'
      try {
        const results = await Promise.all(hostile.map((source) => run(source)))
        expect(results.map(({ outcome }) => outcome)).toEqual(hostile.map(() => 'failed'))
      } finally {
        delete process.env['SECRET_OF_THE_TEST']
      }
    }, 60_000)

    it.skipIf(sharedMissing)(
      `accept canonical solutions and reject wrong ones ${sharedMissing ?? ''}`,
      async () => {
        for (const [name, file, wrong] of [
          ['humaneval', 'data/small/HumanEval.jsonl', '    return None\n'],
          ['mbpp', 'data/small/mbpp_200.jsonl', 'def f():\n    return None\n'],
        ] as const) {
          const benchmark = written(`${name}=${sharedPath(file)}`)
          const items = (await benchmark.read(sharedPath(file), null)).slice(0, 6)
          // A canonical solution is its own completion: HumanEval’s goes on from the prompt, and keeps its indentation.
          const right = items.map((item) => judgeCanonical(benchmark, item, name === 'humaneval'))
          expect((await Promise.all(right)).map(({ correct, reason }) => [correct, reason])).toEqual(
            items.map(() => [true, null]),
          )
          const lost = await Promise.all(items.map((item) => benchmark.judge(item, wrong)))
          expect(lost.every(({ correct }) => !correct)).toBe(true)
        }
      },
      120_000,
    )

    function judgeCanonical(benchmark: WrittenBenchmark, item: BenchmarkItem, isBody: boolean) {
      const prompt = item.prompt
        .split('Create a Python script for this problem:\n')[1]!
        .replace(/\n\n### Response:$/, '')
      return benchmark.judge(
        item,
        isBody ? `\`\`\`python\n${prompt}${item.reference}\n\`\`\`` : item.reference,
      )
    }
  },
)

it.skipIf(sharedMissing || !existsSync(sharedPath('data/small/gsm8k_test_200.jsonl')))(
  'reads real files',
  async () => {
    const file = sharedPath('data/small/gsm8k_test_200.jsonl')
    const { benchmark } = findBenchmark(`gsm8k=${file}`, null)
    const items = await benchmark.read(file, null)
    expect(items).toHaveLength(readFileSync(file, 'utf8').trim().split('\n').length)
    expect(items.every(({ reference }) => Number.isFinite(Number(reference)))).toBe(true)
  },
)
