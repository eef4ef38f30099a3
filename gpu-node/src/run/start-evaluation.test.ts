import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RecordBody, type RunConfigInput, runConfigSchema } from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { builtInModels } from '../daemon/daemon.ts'
import { executeRun, RunControl } from './run.ts'

const base: RunConfigInput = {
  model: { path: 'rankscope-mini' },
  data: {
    source: { kind: 'task', task: 'choice', trainExamples: 16, evaluationExamples: 6 },
    template: 'plain',
  },
  method: { name: 'lora', rank: 2 },
  optimizer: { learningRate: 1e-3 },
  training: { globalBatchSize: 4, microBatchSize: 4, maxSteps: 1 },
  evaluation: { examples: 6, samples: 2, maxNewTokens: 2, atStart: true, atEnd: false },
  spectra: { everySteps: null, atEnd: false },
}

describe('the evaluation before the first step', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'start-evaluation-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  async function run(changes: Partial<RunConfigInput> = {}, { cache = true, models = builtInModels } = {}) {
    const records: RecordBody[] = []
    const outcome = await executeRun(runConfigSchema.parse({ ...base, ...changes }), {
      roots: { models: [models], data: [], anywhere: false },
      folder: join(folder, 'run'),
      cacheFolder: cache ? join(folder, 'cache') : null,
      threads: 1,
      memoryBytes: null,
      checkpointFrom: null,
      control: new RunControl(),
      emit: (body) => records.push(body),
    })
    expect('error' in outcome ? outcome.error : null).toBeNull()
    return {
      told: records
        .filter(({ kind }) => kind === 'sample' || kind === 'evaluation')
        .map((body) => ({ ...body, elapsedMs: 0 })),
      losses: records.flatMap((body) => (body.kind === 'scalars' ? [body.values['train/loss']] : [])),
      isScored: records.some((body) => body.kind === 'phase' && body.phase === 'evaluating'),
      takenOver: records.some((body) => body.kind === 'log' && body.message.includes('is taken over')),
    }
  }

  it('is told again, word for word, to a run that starts from the same weights, and changes nothing after it', async () => {
    const first = await run()
    expect(first).toMatchObject({ isScored: true, takenOver: false })
    expect(first.told.map(({ kind }) => kind)).toEqual(['sample', 'sample', 'evaluation'])
    const faster: Partial<RunConfigInput> = { optimizer: { learningRate: 2e-3 }, name: 'faster' }
    const second = await run(faster)
    expect(second).toMatchObject({ isScored: false, takenOver: true })
    expect(second.told).toEqual(first.told)
    const alone = await run(faster, { cache: false })
    expect(alone).toMatchObject({ isScored: true, takenOver: false })
    expect(second.told).toEqual(alone.told)
    expect(second.losses).toEqual(alone.losses)
  })

  it.each<[string, Partial<RunConfigInput>]>([
    ['another method', { method: { name: 'pissa', rank: 2 } }],
    ['fewer examples', { evaluation: { ...base.evaluation, examples: 5 } }],
    ['longer answers', { evaluation: { ...base.evaluation, maxNewTokens: 3 } }],
    ['another seed', { seed: 7 }],
    ['other target modules', { targetModules: ['k_proj'] }],
    [
      'another task',
      { data: { ...base.data, source: { kind: 'task', task: 'programs', trainExamples: 16 } } },
    ],
    ['another number of threads', { resources: { threads: 2 } }],
  ])('is made anew for %s', async (_, changes) => {
    await run()
    expect(await run(changes)).toMatchObject({ isScored: true, takenOver: false })
  })

  it('is made anew when the model’s files were changed, even under their old time of writing', async () => {
    const models = join(folder, 'models')
    cpSync(builtInModels, models, { recursive: true, preserveTimestamps: true })
    await run({}, { models })
    expect(await run({}, { models })).toMatchObject({ isScored: false })
    const file = join(models, 'rankscope-mini/model.safetensors')
    const long = new Date(1_700_000_000_000)
    const bytes = readFileSync(file)
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(file, bytes)
    utimesSync(file, long, long)
    expect(await run({}, { models })).toMatchObject({ isScored: true })
  })

  it.each([
    ['in a word', '"evaluation"', '"evaluatiom"'],
    ['in a score', '"accuracy":', '"accuracy":1e-7,"_":'],
    ['in one digit of the loss', /"loss":(\d)/, '"loss":7'],
  ])('is made anew where what was kept is damaged %s', async (_, from, to) => {
    const first = await run()
    const [name] = readdirSync(join(folder, 'cache')).filter((file) => file.includes('.start-evaluation'))
    const file = join(folder, 'cache', name!)
    const text = readFileSync(file, 'utf8')
    expect(text.replace(from, to)).not.toBe(text)
    writeFileSync(file, text.replace(from, to))
    expect(await run()).toEqual(first)
  })
})
