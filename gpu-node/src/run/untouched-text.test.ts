/** Forgetting on the built-in model: measured before and after, over an interruption, and by the loss of plain text. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RecordBody, type RecordBodyOf, type RunConfigInput, runConfigSchema } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { executeRun, RunControl, type RunOutcome } from './run.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-forgetting-'))
  writeFileSync(join(folder, 'text.txt'), 'One two three four five six seven eight.\n\n'.repeat(40))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const base: RunConfigInput = {
  data: {
    source: { kind: 'task', task: 'arithmetic', trainExamples: 64, evaluationExamples: 1 },
    template: 'plain',
    maxLength: 64,
  },
  method: { name: 'full', scope: 'linears' },
  optimizer: { learningRate: 3e-3 },
  schedule: { kind: 'constant', warmupRatio: 0 },
  training: { globalBatchSize: 8, microBatchSize: 8, maxSteps: 4 },
  evaluation: { atEnd: false, forgetting: 'generated' },
  spectra: { everySteps: null, atEnd: false },
}

async function run(
  changes: Partial<RunConfigInput>,
  name: string,
  pauseAt: number | null = null,
  from: string | null = null,
) {
  const records: RecordBody[] = []
  const control = new RunControl()
  const outcome: RunOutcome = await executeRun(runConfigSchema.parse({ ...base, ...changes }), {
    roots: { models: [join(import.meta.dirname, '../../../models')], data: [folder], anywhere: false },
    folder: join(folder, name),
    cacheFolder: null,
    threads: 1,
    memoryBytes: 4 * 2 ** 30,
    checkpointFrom: from,
    control,
    emit(body) {
      records.push(body)
      if (body.kind === 'scalars' && body.step === pauseAt) control.request('pause')
    },
  })
  const losses = records.flatMap((body) =>
    body.kind === 'scalars' && 'untouched/loss' in body.values
      ? [[body.step, body.values['untouched/loss']!] as const]
      : [],
  )
  const summary = records.find((body): body is RecordBodyOf<'summary'> => body.kind === 'summary')
  return { outcome, losses, summary }
}

describe('forgetting', () => {
  it('is the loss on untouched text after training minus before; the same over an interruption', async () => {
    const whole = await run({}, 'whole')
    const [[first, before], [last, after]] = whole.losses as [[number, number], [number, number]]
    expect([first, last]).toEqual([0, 4])
    // The built-in model was made from such text: it knows it well, and loses some of that in four coarse steps.
    expect(before).toBeLessThan(2)
    expect(whole.summary).toMatchObject({ untouchedLoss: after, forgetting: after - before })
    expect(after - before).toBeGreaterThan(0)

    const part = await run({}, 'part', 2)
    expect(part.outcome.state).toBe('paused')
    const checkpoint = (part.outcome as Extract<RunOutcome, { state: 'paused' }>).checkpoint
    const rest = await run({}, 'part', null, checkpoint)
    expect(rest.summary).toMatchObject({ untouchedLoss: after, forgetting: after - before })
  }, 120_000)

  it('is measured on a named file, and not at all where none is named', async () => {
    const settings = { training: { ...base.training, maxSteps: 1 } }
    const named = await run(
      { ...settings, evaluation: { atEnd: false, forgetting: join(folder, 'text.txt') } },
      'named',
    )
    expect(named.losses).toHaveLength(2)
    const none = await run({ ...settings, evaluation: { atEnd: false } }, 'none')
    expect([none.losses, none.summary!.forgetting]).toEqual([[], undefined])
  }, 120_000)

  it('of a file that is not there fails before anything is loaded', async () => {
    const { outcome } = await run({ evaluation: { forgetting: join(folder, 'gone.txt') } }, 'gone')
    expect(outcome).toMatchObject({ state: 'failed', error: { code: 'DATA_NOT_FOUND' } })
  })
})
