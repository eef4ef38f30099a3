/** lm-eval's protocols held to hand-made cases: prompts letter by letter, extractors, choices, solved examples, refusals. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { finalAnswer, normalizeFinalAnswer } from '../eval/minerva.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { type Benchmark, type BenchmarkItem, findBenchmark } from './index.ts'
import { passAtK } from './pass-at-k.ts'
import { PythonRandom } from './python-random.ts'
import { sandboxProblem } from './sandbox.ts'
import { scoreOf } from './score.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-lm-eval-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function fileOf(name: string, rows: readonly object[]): string {
  const file = join(folder, `${name}.jsonl`)
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'))
  return file
}

async function read(name: string, rows: readonly object[], train: readonly object[] | null = null) {
  const trainFile = train && fileOf(`${name}-training`, train)
  const wish = `${name}=${fileOf(name, rows)}`
  const found = findBenchmark(wish, null, { protocol: 'lm-eval', trainFile })
  return {
    benchmark: found.benchmark,
    items: await found.benchmark.read(found.file, found.trainFile),
  }
}

function verdict(benchmark: Benchmark, item: BenchmarkItem, completion: string) {
  if (benchmark.kind !== 'write') throw new Error('it is answered by choosing')
  return benchmark.judge(item, completion)
}

/** Context and continuation of each choice, and what these log-likelihoods score. */
async function asked(name: string, row: object, logLikelihoods: readonly number[]) {
  const { benchmark, items } = await read(name, [row])
  if (benchmark.kind !== 'choose') throw new Error('it is answered by writing')
  const { correct, also, extracted } = benchmark.judge(items[0]!, logLikelihoods)
  return {
    choices: benchmark.choices(items[0]!).map(({ context, continuation }) => [context, continuation]),
    metrics: [correct, also?.['acc_norm'] ?? null],
    extracted,
  }
}

describe('GSM8K', () => {
  const train = Array.from({ length: 7 }, (_, at) => ({
    question: `q${at}?`,
    answer: `Because.\n#### ${at}`,
  }))
  const rows = [
    { question: 'How many?', answer: 'Sum.\n#### 1,200' },
    { question: 'And then?', answer: '#### -3' },
  ]

  it('begins with five solved examples, those that Python’s Random(1234).sample takes, drawn anew for each question', async () => {
    const { items } = await read('gsm8k', rows, train)
    const shots = (order: readonly number[]) =>
      order.map((at) => `Question: q${at}?\nAnswer: Because.\n#### ${at}\n\n`).join('')
    expect(items.map(({ prompt }) => prompt)).toEqual([
      `${shots([6, 3, 0, 4, 5])}Question: How many?\nAnswer:`,
      `${shots([6, 4, 0, 5, 3])}Question: And then?\nAnswer:`,
    ])
    expect(items.map(({ reference }) => reference)).toEqual(['1200', '-3'])
  })

  it('strict-match takes the first number after ####, flexible-extract the last number of all', async () => {
    const { benchmark, items } = await read('gsm8k', rows, train)
    const of = async (completion: string, at = 0) => {
      const { correct, also } = await verdict(benchmark, items[at]!, completion)
      return [correct, also!['flexible-extract']]
    }
    expect(await of('So\n#### 1,200')).toEqual([true, true])
    expect(await of('#### 1200. Or #### 7')).toEqual([true, false])
    expect(await of('It is $1,200.')).toEqual([false, true])
    expect(await of('It is 1200 of 5')).toEqual([false, false])
    expect(await of('####1200')).toEqual([false, true])
    expect(await of('#### -3', 1)).toEqual([true, true])
    expect(await of('#### 3', 1)).toEqual([false, false])
    expect(await of('none')).toEqual([false, false])
  })

  it('is refused with the reason where the training split is missing', () => {
    const wish = `gsm8k=${fileOf('alone', rows)}`
    expect(() => findBenchmark(wish, null, { protocol: 'lm-eval' })).toThrow(
      expect.objectContaining({
        code: 'DATA_NOT_FOUND',
        message: expect.stringContaining('5 solved examples of the training split'),
        hint: expect.stringContaining('train.jsonl'),
      }),
    )
    writeFileSync(join(folder, 'train.jsonl'), '{}')
    expect(findBenchmark(wish, null, { protocol: 'lm-eval' }).trainFile).toBe(join(folder, 'train.jsonl'))
  })
})

it('Python’s sample: short lists are shuffled, of long ones places are drawn, as Python 3 prints them', () => {
  const upTo = (n: number) => Array.from({ length: n }, (_, at) => at)
  for (const [seed, first, third, ten, longer, pool] of [
    [
      1234,
      [6374, 3610, 957, 61, 742],
      [5677, 687, 806, 6279, 2905],
      [3, 0, 8, 6],
      [8, 177, 247, 237, 76, 46, 93],
      [14, 1, 64, 62, 31, 8, 85],
    ],
    [
      0,
      [6917, 3155, 6209, 7292, 3445],
      [6420, 6798, 2484, 3904, 2933],
      [9, 3, 2, 7],
      [71, 48, 128, 272, 75, 158, 50],
      [9, 87, 42, 60, 71, 12, 45],
    ],
    [
      7,
      [2652, 1235, 3234, 5332, 395],
      [4774, 475, 7452, 4156, 1758],
      [0, 1, 6, 3],
      [35, 123, 46, 282, 217, 30, 289],
      [15, 28, 80, 74, 7, 73, 50],
    ],
  ] as const) {
    const random = new PythonRandom(seed)
    expect(random.sample(upTo(7473), 5)).toEqual(first)
    random.sample(upTo(7473), 5)
    expect(random.sample(upTo(7473), 5)).toEqual(third)
    expect(random.sample(upTo(10), 4)).toEqual(ten)
    expect(random.sample(upTo(300), 7)).toEqual(longer)
    expect(random.sample(upTo(90), 7)).toEqual(pool)
  }
})

describe('MATH', () => {
  it('takes what stands between the final answer and the hope, in Minerva’s normal form', async () => {
    const { benchmark, items } = await read('math', [
      { problem: 'x?', solution: 'Thus $\\boxed{\\frac{1}{2}}$.' },
      { problem: 'y?', solution: 'So $\\boxed 7$ it is.' },
    ])
    expect(items[0]!.prompt).toMatch(
      /^Problem:\nFind the domain [\s\S]*I hope it is correct\.\n\nProblem:\nx\?\n\nSolution:$/,
    )
    expect(items[0]!.prompt.match(/Problem:\n/g)).toHaveLength(5)
    expect(items.map(({ reference }) => reference)).toEqual(['\\frac{1}{2}', '7'])
    const of = async (text: string) => (await verdict(benchmark, items[0]!, text)).correct
    expect(await of('Final Answer: The final answer is $\\frac12$. I hope it is correct.')).toBe(true)
    // The harness ends every completion with the hope, so that a cut one counts.
    expect(await of('Final Answer: The final answer is $\\frac{1}{2}$. ')).toBe(true)
    expect(await of('The final answer is $\\frac{1}{2}$. I hope it is correct.')).toBe(false)
    expect(await of('Final Answer: The final answer is $0.5$. I hope it is correct.')).toBe(false)
  })

  it.each([
    ['x = 5', '5'],
    ['$10,000$', '10000'],
    ['1,2,3', '123'],
    ['(1,2)', '(1,2)'],
    ['\\text{east}', 'east'],
    ['\\boxed{3}', '3'],
    ['\\frac34', '\\frac{3}{4}'],
    ['\\sqrt2', '\\sqrt{2}'],
    ['90^\\circ', '90'],
    ['12 \\text{ cm}', '12'],
    ['\\$5', '5'],
    ['an apple', 'apple'],
    ['text $7$ here', '7'],
  ])('the normal form of %s is %s', (answer, normal) => {
    expect(normalizeFinalAnswer(answer)).toBe(normal)
  })

  it('an answer that is not there is none that a solution has', () => {
    expect(finalAnswer('I do not know.')).toBe('[invalidanswer]')
  })
})

describe('choices', () => {
  it('BoolQ: passage, question, then no or yes', async () => {
    const row = { passage: 'P.', question: 'is it so', label: 1 }
    expect(await asked('boolq', row, [-3, -2])).toEqual({
      choices: [
        ['P.\nQuestion: is it so?\nAnswer:', ' no'],
        ['P.\nQuestion: is it so?\nAnswer:', ' yes'],
      ],
      metrics: [true, null],
      extracted: 'yes',
    })
    const { label: _, ...rest } = row
    expect((await asked('boolq', { ...rest, answer: false }, [-2, -3])).metrics).toEqual([true, null])
  })

  it('PIQA: acc takes the likeliest, acc_norm the likeliest per character', async () => {
    const row = { goal: 'G', sol1: 'ab', sol2: 'abcdefgh', label: 1 }
    expect(await asked('piqa', row, [-4, -8])).toEqual({
      choices: [
        ['Question: G\nAnswer:', ' ab'],
        ['Question: G\nAnswer:', ' abcdefgh'],
      ],
      metrics: [false, true],
      extracted: 'ab',
    })
    // Equal ones: the first, as argmax.
    expect((await asked('piqa', { ...row, label: 0 }, [-4, -4])).metrics).toEqual([true, false])
  })

  it('SIQA counts its answers from 1', async () => {
    const row = { context: 'C.', question: 'Q?', answerA: 'a', answerB: 'b', answerC: 'c', label: '3' }
    expect(await asked('siqa', row, [-3, -2, -1])).toEqual({
      choices: ['a', 'b', 'c'].map((answer) => ['Q: C. Q?\nA:', ` ${answer}`]),
      metrics: [true, null],
      extracted: 'c',
    })
  })

  it('HellaSwag: activity, both halves, endings, without WikiHow’s brackets', async () => {
    const row = {
      activity_label: 'Cooking',
      ctx_a: '[header] How to cook [title] Begin.',
      ctx_b: 'a MAN',
      endings: ['runs  off. [step] Then.', 'b', 'c', 'd'],
      label: '0',
    }
    expect((await asked('hellaswag', row, [-1, -2, -3, -4])).choices.slice(0, 2)).toEqual([
      ['Cooking: How to cook. Begin. A man', ' runs off. Then.'],
      ['Cooking: How to cook. Begin. A man', ' b'],
    ])
  })

  it('WinoGrande: each option is a context, what follows the blank is scored', async () => {
    const row = { sentence: 'Ann beat Bo so _ was glad. ', option1: 'Ann', option2: 'Bo', answer: '1' }
    expect(await asked('winogrande', row, [-1, -2])).toEqual({
      choices: [
        ['Ann beat Bo so Ann', ' was glad.'],
        ['Ann beat Bo so Bo', ' was glad.'],
      ],
      metrics: [true, null],
      extracted: 'Ann',
    })
  })

  it('ARC names its answers by letters or numbers, OBQA asks the stem alone', async () => {
    const choices = { text: ['x', 'yyyy'], label: ['A', 'B'] }
    for (const name of ['arc-e', 'arc-c'])
      expect(await asked(name, { question: 'Q?', choices, answerKey: 'B' }, [-1, -2])).toEqual({
        choices: [
          ['Question: Q?\nAnswer:', ' x'],
          ['Question: Q?\nAnswer:', ' yyyy'],
        ],
        metrics: [false, true],
        extracted: 'x',
      })
    expect(
      (await asked('obqa', { question_stem: 'Stem', choices, answerKey: 'A' }, [-1, -2])).choices[0],
    ).toEqual(['Stem', ' x'])
  })

  it('rows of LLM-Adapters are taken apart where they keep every field, and refused with the reason where not', async () => {
    const adapters = (instruction: string, answer: string) => ({ instruction, input: '', output: '', answer })
    const piqa = adapters(
      'Please choose the correct solution to the question: G\n\nSolution1: one\n\nSolution2: two\n\nAnswer format: solution1/solution2',
      'solution2',
    )
    expect((await asked('piqa', piqa, [-2, -1])).metrics).toEqual([true, true])
    const siqa = adapters(
      'Please choose the correct answer to the question: C. Q?\n\nAnswer1: a b Answer2: c Answer3: d\n\nAnswer format: answer1/answer2/answer3',
      'answer1',
    )
    expect(await asked('siqa', siqa, [-1, -2, -3])).toMatchObject({
      choices: ['a b', 'c', 'd'].map((answer) => ['Q: C. Q?\nA:', ` ${answer}`]),
      metrics: [true, null],
    })
    const winogrande = adapters(
      'Please choose the correct answer to fill in the blank to complete the given sentence: So _ won.\n\nOption1: A Option2: B Answer format: option1/option2',
      'option2',
    )
    expect(await asked('winogrande', winogrande, [-2, -1])).toMatchObject({
      choices: [
        ['So A', ' won.'],
        ['So B', ' won.'],
      ],
      metrics: [true, null],
    })
    await expect(read('boolq', [adapters('Please answer …', 'true')])).rejects.toMatchObject({
      code: 'DATA_BROKEN',
      message: expect.stringMatching(/boolq\.jsonl:1: a row of LLM-Adapters/),
    })
    await expect(read('hellaswag', [{ nothing: 1 }])).rejects.toMatchObject({
      code: 'DATA_BROKEN',
      message: expect.stringContaining('activity_label'),
    })
  })

  it.skipIf(sharedMissing)(
    `every row of the shared sets becomes a question, its answer among the choices ${sharedMissing ?? ''}`,
    async () => {
      for (const [name, rows] of [
        ['piqa', 1838],
        ['siqa', 1954],
        ['winogrande', 1267],
        ['arc-e', 2376],
        ['arc-c', 1172],
        ['obqa', 500],
      ] as const) {
        const { benchmark, file } = findBenchmark(name, sharedPath('data/commonsense/test'), {
          protocol: 'lm-eval',
        })
        const items = await benchmark.read(file, null)
        expect(items).toHaveLength(rows)
        if (benchmark.kind !== 'choose') throw new Error(name)
        for (const item of items)
          expect(benchmark.choices(item).length, item.id).toBeGreaterThanOrEqual(name === 'arc-e' ? 3 : 2)
      }
    },
  )
})

describe('programs', () => {
  const problem = sandboxProblem()

  it('MBPP: problems 2, 3 and 4 solved, then each of the test split with its three tests', async () => {
    const row = (task: number) => ({
      task_id: task,
      text: `Do ${task}.`,
      code: `def f():\r\n  return ${task}`,
      test_list: ['assert f()', 'assert f() > 0', 'assert f() < 9', 'assert False'],
      test_setup_code: '',
    })
    const { items, benchmark } = await read('mbpp', [2, 3, 4, 10, 11, 510, 511].map(row))
    expect(items.map(({ id }) => id)).toEqual(['11', '510'])
    const question = (task: number) =>
      `You are an expert Python programmer, and here is your task: Do ${task}. Your code should pass these tests:\n\nassert f()\nassert f() > 0\nassert f() < 9\n[BEGIN]\n`
    const solved = [2, 3, 4].map((task) => `${question(task)}def f():\r\n  return ${task}\n[DONE]\n\n`)
    expect(items[0]!.prompt).toBe(`${solved.join('')}${question(11)}`)
    expect(benchmark.kind === 'write' && benchmark.stops).toEqual(['[DONE]'])
    await expect(read('mbpp', [row(11)])).rejects.toMatchObject({ code: 'DATA_BROKEN' })
  })

  it.skipIf(problem !== null)(
    `HumanEval goes on from the problem itself ${problem === null ? '' : `(skipped: ${problem})`}`,
    async () => {
      const { items, benchmark } = await read('humaneval', [
        {
          task_id: 'HumanEval/0',
          prompt: 'def two():\n    """ Two. """\n',
          entry_point: 'two',
          canonical_solution: '    return 2\n',
          test: 'def check(candidate):\n    assert candidate() == 2\n',
        },
      ])
      expect(items[0]!.prompt).toBe('def two():\n    """ Two. """\n')
      expect((await verdict(benchmark, items[0]!, '    return 2\n')).correct).toBe(true)
      expect((await verdict(benchmark, items[0]!, '    return 3\n')).correct).toBe(false)
    },
  )
})

describe('scores', () => {
  it('pass@k is 1 − C(n−c, k) / C(n, k)', () => {
    for (const [n, passed, k, value] of [
      [10, 3, 1, 0.3],
      [10, 3, 5, 1 - 21 / 252],
      [5, 0, 3, 0],
      [5, 5, 1, 1],
      [20, 2, 10, 1 - 43_758 / 184_756],
    ] as const)
      expect(passAtK(n, passed, k)).toBeCloseTo(value, 14)
  })

  it('are means over items, of every metric, and of pass@k as far as there are completions', async () => {
    const { benchmark, items } = await read('humaneval', [
      { task_id: 'a', prompt: '', entry_point: 'f', test: '' },
      { task_id: 'b', prompt: '', entry_point: 'f', test: '' },
    ])
    const answers = items.flatMap((item, at) =>
      [0, 1, 2, 3].map((sample) => ({
        ...item,
        sample,
        completion: '',
        isCut: sample === 0 && at === 0,
        correct: at === 0 && sample < 2,
        extracted: null,
        reason: null,
      })),
    )
    const score = scoreOf(benchmark, answers, [1, 2, 8])
    expect(score).toMatchObject({ items: 2, correct: 2, cut: 1 })
    expect(score.metrics.map(({ name, value }) => [name, value])).toEqual([
      ['pass@1', 0.25],
      ['pass@2', expect.closeTo((1 - 1 / 6) / 2, 14)],
    ])
  })
})
