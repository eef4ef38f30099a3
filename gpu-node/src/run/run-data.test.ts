/** What a run does with its data: a mix goes on where it was interrupted, splits are told apart, previews agree. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  previewSchema,
  type RecordBody,
  type RecordBodyOf,
  type RecordKind,
  type RunConfigInput,
  recordBodySchema,
  runConfigSchema,
} from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sandboxProblem } from '../benchmarks/sandbox.ts'
import { builtInModels } from '../daemon/daemon.ts'
import { previewData } from './preview.ts'
import { executeRun, RunControl } from './run.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'run-data-'))
  const line = (i: number) => `${JSON.stringify({ question: `What is ${i} + ${i}?`, answer: `${i + i}` })}\n`
  writeFileSync(join(folder, 'sums.jsonl'), Array.from({ length: 7 }, (_, i) => line(i)).join(''))
  const talk = {
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello' },
      { role: 'user', content: 'bye' },
      { role: 'assistant', content: 'see you' },
    ],
  }
  writeFileSync(join(folder, 'talks.jsonl'), `${JSON.stringify(talk)}\n`.repeat(3))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const roots = () => ({ models: [builtInModels], data: [folder], anywhere: false })
const base: RunConfigInput = {
  model: { path: 'rankscope-mini' },
  data: {
    source: {
      kind: 'mix',
      sources: [
        { source: { kind: 'records', path: 'sums.jsonl' }, weight: 3 },
        { source: { kind: 'records', path: 'talks.jsonl' }, weight: 1 },
        { source: { kind: 'task', task: 'choice', trainExamples: 5, evaluationExamples: 9 }, weight: 2 },
      ],
      examples: 24,
    },
    template: 'plain',
    maxLength: 48,
    reshuffle: true,
  },
  method: { name: 'lora', rank: 2 },
  targetModules: ['q_proj'],
  training: { globalBatchSize: 4, microBatchSize: 2, epochs: 2 },
  evaluation: { atEnd: false },
  spectra: { everySteps: null, atEnd: false },
}

async function run(
  changes: Partial<RunConfigInput> = {},
  checkpointFrom: string | null = null,
  pauseAt = -1,
) {
  const records: RecordBody[] = []
  const control = new RunControl()
  const outcome = await executeRun(runConfigSchema.parse({ ...base, ...changes }), {
    roots: roots(),
    folder: join(folder, 'run'),
    cacheFolder: null,
    threads: 1,
    memoryBytes: 4 * 2 ** 30,
    checkpointFrom,
    control,
    emit(body) {
      records.push(recordBodySchema.parse(body))
      if (body.kind === 'scalars' && body.step === pauseAt) control.request('pause')
    },
  })
  const all = <K extends RecordKind>(kind: K) =>
    records.filter((body): body is RecordBodyOf<K> => body.kind === kind)
  const losses = all('scalars').flatMap(({ step, values }) => {
    const loss = values['train/loss']
    return loss === undefined ? [] : [[step, loss] as const]
  })
  return { outcome, all, losses }
}

describe('a mix', () => {
  it('interrupted in the middle of an epoch goes on with the same losses, to the bit', async () => {
    const whole = await run()
    expect(whole.losses).toHaveLength(12)
    const paused = await run({}, null, 7)
    expect(paused.outcome.state).toBe('paused')
    if (paused.outcome.state !== 'paused') return
    const resumed = await run({}, paused.outcome.checkpoint)
    expect([...paused.losses, ...resumed.losses]).toEqual(whole.losses)
  })

  it('tells its proportions and what was repeated or left out in the start record', async () => {
    const { all } = await run({ training: { globalBatchSize: 4, maxSteps: 1 } })
    const [start] = all('start')
    expect(start?.data.map(({ source, split, used, perEpoch }) => [source, split, used, perEpoch])).toEqual([
      ['sums.jsonl', 'train', 7, 12],
      ['talks.jsonl', 'train', 3, 4],
      ['task choice', 'train', 5, 8],
      ['task choice', 'test', 9, 0],
    ])
    expect(start?.warnings).toEqual([
      'sums.jsonl: 12 examples in each epoch are drawn from 7: some come again',
      'talks.jsonl: 4 examples in each epoch are drawn from 3: some come again',
      'task choice: 8 examples in each epoch are drawn from 5: some come again',
    ])
  })
})

describe('benchmarks', () => {
  const sayTrue = (i: number) => ({
    instruction: `Please answer the following question with true or false, question: is it ${i}?`,
    input: '',
    output: 'the correct answer is true',
    answer: 'true',
  })
  const training = {
    data: { source: { kind: 'records', path: 'train.json' }, template: 'alpaca', maxLength: 384 },
    method: { name: 'full' },
    optimizer: { learningRate: 4e-3 },
    training: { globalBatchSize: 8, microBatchSize: 8, epochs: 6 },
  } as const
  beforeAll(() => {
    const write = (name: string, rows: object[]) =>
      writeFileSync(join(folder, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const rows = (from: number, count: number) => Array.from({ length: count }, (_, i) => sayTrue(from + i))
    write('train.json', rows(0, 32))
    write('boolq.json', rows(32, 4))
    const solution = { ...sayTrue(1), output: 'the correct answer is solution1', answer: 'solution1' }
    write('piqa.json', [solution])
    write('HumanEval.jsonl', [
      {
        task_id: 'HumanEval/0',
        prompt: 'def f():\n',
        entry_point: 'f',
        test: 'def check(f):\n    assert f()\n',
      },
    ])
  })

  it('are scored beside the test data after training, each with its protocol, and the mean counts each the same', async () => {
    const benchmarks = [
      { name: 'boolq' as const, path: 'boolq.json' },
      { name: 'piqa' as const, path: 'piqa.json' },
    ]
    const { outcome, all } = await run({ ...training, evaluation: { examples: 3, samples: 1, benchmarks } })
    expect(outcome.state).toBe('finished')
    const protocol = 'pissa 1, zero-shot, greedy, at most 32 tokens'
    // It has learned to say true, and nothing of solutions.
    expect(all('evaluation')).toEqual([
      {
        kind: 'evaluation',
        step: 24,
        examples: 4,
        loss: null,
        accuracy: 3 / 4,
        meanAccuracy: 1 / 2,
        protocols: { BoolQ: `${protocol}, the first 3 of 4 items`, PIQA: protocol },
        byType: { BoolQ: { examples: 3, accuracy: 1 }, PIQA: { examples: 1, accuracy: 0 } },
        elapsedMs: expect.any(Number),
      },
    ])
    expect(all('sample').map(({ expected, correct }) => [expected, correct])).toEqual([
      ['true', true],
      ['solution1', false],
    ])
    expect(all('summary')[0]).toMatchObject({ accuracy: 3 / 4, meanAccuracy: 1 / 2 })
    expect(all('scalars').at(-1)?.values).toEqual({ 'eval/accuracy': 3 / 4, 'eval/meanAccuracy': 1 / 2 })
  })

  it('that run programs are scored in the sandbox, or refused before anything is trained', async () => {
    const benchmarks = [{ name: 'humaneval' as const, path: '.' }]
    const settings = { ...training, training: { ...training.training, maxSteps: 1 } }
    const { outcome, all } = await run({ ...settings, evaluation: { benchmarks } })
    if (sandboxProblem() === null)
      expect(all('evaluation')[0]).toMatchObject({ examples: 1, accuracy: 0, loss: null })
    else expect(outcome).toMatchObject({ state: 'failed', steps: 0, error: { code: 'SETUP_MISSING' } })
  })

  it('whose file is missing, broken or not allowed are refused before anything is trained', async () => {
    for (const [path, code] of [
      ['absent.json', 'DATA_NOT_FOUND'],
      ['train.json', 'DATA_BROKEN'],
      ['/etc', 'PATH_FORBIDDEN'],
    ] as const) {
      const evaluation = { benchmarks: [{ name: 'humaneval' as const, path }] }
      const { outcome } = await run({ ...training, evaluation })
      const expected = sandboxProblem() === null || code !== 'DATA_BROKEN' ? code : 'SETUP_MISSING'
      expect(outcome).toMatchObject({ state: 'failed', steps: 0, error: { code: expected } })
    }
  })
})

describe('validation and test', () => {
  it('during training the validation split is scored, at the end both, and the summary keeps them apart', async () => {
    const { all } = await run({
      data: {
        source: {
          kind: 'task',
          task: 'choice',
          trainExamples: 16,
          evaluationExamples: 3,
          validationExamples: 2,
        },
        template: 'plain',
        maxLength: 64,
      },
      training: { globalBatchSize: 4, microBatchSize: 2, maxSteps: 2 },
      evaluation: { everySteps: 1, examples: 3, maxNewTokens: 2, samples: 1, atStart: true },
    })
    const told = all('evaluation').map(({ step, split, examples }) => [step, split ?? 'test', examples])
    expect(told).toEqual([
      [0, 'test', 3],
      [1, 'validation', 2],
      [2, 'validation', 2],
      [2, 'test', 3],
    ])
    // One set of completions per step.
    expect(all('sample').map(({ step, index }) => [step, index])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
    ])
    const [, , validation, test] = all('evaluation')
    expect(all('summary')[0]).toMatchObject({
      evaluationLoss: test?.loss,
      accuracy: test?.accuracy,
      validationLoss: validation?.loss,
      validationAccuracy: validation?.accuracy,
    })
    const series = all('scalars').map(({ step, values }) => [
      step,
      values['validation/loss'],
      values['eval/loss'],
    ])
    expect(series.filter(([, a, b]) => a !== undefined || b !== undefined)).toEqual([
      [0, undefined, expect.any(Number)],
      [1, expect.any(Number), undefined],
      [2, validation?.loss, undefined],
      [2, undefined, test?.loss],
    ])
  })
})

describe('a preview', () => {
  const preview = (data: RunConfigInput['data'], examples = 6) =>
    previewData({ config: runConfigSchema.parse({ ...base, data }), examples }, roots())

  it('shows the first examples of each source, with the labels that training has', async () => {
    const shown = previewSchema.parse(await preview(base.data, 6))
    expect(shown.examples.map(({ source }) => source)).toEqual([
      'sums.jsonl',
      'sums.jsonl',
      'talks.jsonl',
      'talks.jsonl',
      'task choice',
      'task choice',
    ])
    const marked = (index: number) =>
      shown.examples[index]!.tokens.map(({ text, trained }) => (trained ? text.toUpperCase() : text)).join('')
    expect(marked(1)).toMatch(/^(<[^>]*>)?What is 1 \+ 1\?\n2<\|.*\|>$/i)
    expect(marked(2)).toMatch(/^(<[^>]*>)?hi\nHELLO<\|[A-Z]+\|>bye\nSEE YOU<\|[A-Z]+\|>$/)
    expect(shown.examples[1]!.tokens.at(-1)?.trained).toBe(true)
    expect(shown.counts.map(({ read }) => read)).toEqual([2, 2, 2])
  })

  it('fails as the run would, with file and line, and asks for no other file than those of training', async () => {
    writeFileSync(join(folder, 'broken.jsonl'), '{"question": "q", "answer": "a"}\n{"question": 7}\n')
    const source = { kind: 'records', path: 'broken.jsonl', evaluationPath: 'nowhere.jsonl' } as const
    await expect(preview({ source, template: 'plain' })).rejects.toThrow(/broken.jsonl:2/)
    expect((await preview({ source, template: 'plain' }, 1)).examples).toHaveLength(1)
    await expect(preview({ source: { kind: 'records', path: '/etc/passwd' } })).rejects.toThrow(
      expect.objectContaining({ code: 'PATH_FORBIDDEN' }),
    )
  })
})
