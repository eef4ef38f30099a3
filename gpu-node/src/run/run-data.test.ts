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
