/** Evaluation without training: of a model, of a checkpoint, of an export; every item told, going on, refusals. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type RecordBody,
  type RecordBodyOf,
  type RecordKind,
  type Remains,
  type RunConfigInput,
  recordBodySchema,
  runConfigSchema,
} from '@rankscope/protocol'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { builtInModels } from '../daemon/daemon.ts'
import { executeRun, RunControl, type RunEnvironment, type RunOutcome } from './run.ts'

let folder: string
let trained: { checkpoint: string; model: string }

const question = (i: number) =>
  `Please answer the following question with true or false, question: is it ${i}?`

async function run(config: RunConfigInput, surroundings: Partial<RunEnvironment> = {}) {
  const records: RecordBody[] = []
  const outcome: RunOutcome = await executeRun(runConfigSchema.parse(config), {
    roots: { models: [builtInModels, join(folder, 'trained', '1')], data: [folder], anywhere: false },
    folder: join(folder, 'evaluated', '1'),
    cacheFolder: null,
    threads: 1,
    memoryBytes: 4 * 2 ** 30,
    checkpointFrom: null,
    control: new RunControl(),
    ...surroundings,
    emit(body) {
      records.push(body)
      surroundings.emit?.(body)
    },
  })
  const all = <K extends RecordKind>(kind: K) =>
    records.filter((body): body is RecordBodyOf<K> => body.kind === kind)
  return { outcome, records, all }
}

const benchmarks: NonNullable<RunConfigInput['evaluation']>['benchmarks'] = [
  { name: 'boolq', path: 'boolq.json' },
  { name: 'boolq', path: 'passages.jsonl', protocol: 'lm-eval' },
]
const job = (of: Remains | null = null): RunConfigInput => ({
  job: { kind: 'evaluation', of },
  model: { path: 'rankscope-mini' },
  data: { source: { kind: 'none' } },
  method: { name: 'full' },
  evaluation: { examples: 3, batchSize: 2, benchmarks },
})
const remains = (what: 'checkpoint' | 'model', path: string) => ({ runId: 'r', nodeId: 'n', what, path })

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evaluate-only-'))
  const write = (name: string, rows: object[]) =>
    writeFileSync(join(folder, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const row = (i: number) => ({
    instruction: question(i),
    input: '',
    output: 'the correct answer is true',
    answer: 'true',
  })
  write(
    'train.json',
    Array.from({ length: 32 }, (_, i) => row(i)),
  )
  write('boolq.json', [32, 33, 34, 35].map(row))
  write('passages.jsonl', [{ passage: 'It is so.', question: 'is it so', answer: true }])
  const { outcome, all } = await run(
    {
      model: { path: 'rankscope-mini' },
      data: { source: { kind: 'records', path: 'train.json' }, template: 'alpaca', maxLength: 384 },
      method: { name: 'full' },
      optimizer: { learningRate: 4e-3 },
      training: { globalBatchSize: 8, microBatchSize: 8, epochs: 6 },
      evaluation: { atEnd: false },
      spectra: { everySteps: null, atEnd: false },
      export: { model: true },
    },
    { folder: join(folder, 'trained', '1') },
  )
  expect(outcome.state).toBe('finished')
  trained = { checkpoint: all('checkpoint').at(-1)!.path, model: all('artifact')[0]!.path }
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('a model, a checkpoint and an export are scored; every item is told with what was taken of it', async () => {
  const base = await run(job(), { folder: join(folder, 'base') })
  for (const body of base.records) expect(recordBodySchema.safeParse(body).success, body.kind).toBe(true)
  expect(base.outcome).toMatchObject({ state: 'finished', steps: 0 })
  expect(base.all('start')).toEqual([expect.objectContaining({ totalSteps: 1, trainableParameters: 0 })])
  expect(base.all('checkpoint')).toEqual([])

  const checkpoint = await run(job(remains('checkpoint', trained.checkpoint)), {
    folder: join(folder, 'of-checkpoint'),
    checkpointFrom: trained.checkpoint,
  })
  const exported = await run(job(remains('model', trained.model)), { folder: join(folder, 'of-export') })
  for (const { all } of [checkpoint, exported]) {
    const [evaluation] = all('evaluation')
    expect(evaluation).toMatchObject({
      step: 1,
      loss: null,
      examples: 4,
      protocols: {
        BoolQ: expect.stringContaining('the first 3 of 4 items'),
        'BoolQ (lm-eval)': expect.stringContaining('boolq 2.0'),
      },
    })
    // It has learned to say true.
    expect(evaluation!.byType['BoolQ']).toEqual({ examples: 3, accuracy: 1 })
    expect(all('sample')).toHaveLength(4)
    expect(all('sample')[0]).toMatchObject({
      step: 1,
      index: 0,
      prompt: expect.stringContaining('is it 32?'),
      completion: expect.stringContaining('true'),
      expected: 'true',
      correct: true,
      item: { benchmark: 'BoolQ', id: 'boolq/0', sample: 0, extracted: 'true', reason: null },
    })
    expect(all('summary')[0]!.accuracy).toBe(evaluation!.accuracy)
  }
  expect(exported.all('sample')).toEqual(checkpoint.all('sample'))
  expect(base.all('sample').map(({ completion }) => completion)).not.toEqual(
    exported.all('sample').map(({ completion }) => completion),
  )
})

it('one that is paused goes on in its next attempt with the items that it has, and tells all of them again', async () => {
  const whole = await run(job(), { folder: join(folder, 'whole', '1') })
  const control = new RunControl()
  const first = await run(job(), {
    folder: join(folder, 'cut', '1'),
    control,
    emit: (body) => body.kind === 'sample' && control.request('pause'),
  })
  expect(first.outcome.state).toBe('paused')
  expect(first.all('evaluation')).toEqual([])
  const before = first.all('sample')
  expect(before.length).toBeLessThan(4)
  const second = await run(job(), {
    folder: join(folder, 'cut', '2'),
    formerPlaces: [join(folder, 'cut', '1', 'checkpoints')],
  })
  expect(second.outcome.state).toBe('finished')
  expect(second.all('phase').find(({ phase }) => phase === 'evaluating')!.detail).toContain(
    `BoolQ, ${before.length} of 3`,
  )
  expect(second.all('sample')).toEqual(whole.all('sample'))
})

it('what cannot be evaluated ends with its reason, before the model is read: never the base in place of a checkpoint', async () => {
  const failure = async (config: RunConfigInput) => {
    const { outcome, all } = await run(config, { folder: join(folder, 'refused') })
    expect(all('evaluation')).toEqual([])
    return outcome
  }
  expect(await failure(job(remains('checkpoint', '/gone')))).toMatchObject({
    error: { code: 'CHECKPOINT_BROKEN' },
  })
  expect(await failure(job(remains('model', join(tmpdir(), 'elsewhere'))))).toMatchObject({
    error: { code: 'PATH_FORBIDDEN' },
  })
  const none = { ...job(), evaluation: { benchmarks: [] } }
  expect(await failure(none)).toMatchObject({ error: { code: 'CONFIG_INVALID' } })
  const absent = { ...job(), evaluation: { benchmarks: [{ name: 'mbpp' as const, path: 'none.jsonl' }] } }
  expect(await failure(absent)).toMatchObject({ error: { code: 'DATA_NOT_FOUND' } })
  const trains = { ...job(), job: { kind: 'training' as const } }
  expect(await failure(trains)).toMatchObject({
    error: { code: 'CONFIG_INVALID', message: expect.stringContaining('nothing to train on') },
  })
})
