/** Whole runs that meet NaN or infinity: in the model's files, in a batch, in an evaluation. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type RecordBody,
  type RecordBodyOf,
  type RecordKind,
  type RunConfigInput,
  runConfigSchema,
} from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../model/folder.ts'
import { openSafetensors, readFloat32 } from '../model/safetensors.ts'
import { writeModelFolder } from '../model/save.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { executeRun, RunControl } from './run.ts'

const mpiMissing =
  spawnSync('mpirun', ['--version']).status === 0
    ? null
    : 'skipped: mpirun is not installed (Debian: openmpi-bin, libopenmpi-dev)'

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
  if (!sharedMissing) await makeMaterial()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The token that overflows the query of the first layer; all others leave that dimension at zero. */
const poison = 511
/** A weight that is found again in a file. */
const marked = 12_345.678

/** Weights changed by name; where it returns nothing they stay. */
async function changedModel(
  name: string,
  change: (tensor: string, values: Float32Array, width: number) => void,
): Promise<void> {
  const source = sharedPath('data/models/stories260K')
  const opened = openModelFolder(source)
  const values = new Map(
    opened.specs.map((spec) => {
      const found = opened.read(spec)
      change(spec.name, found, spec.shape.at(-1)!)
      return [spec.name, found]
    }),
  )
  cpSync(source, join(folder, name), { recursive: true })
  await writeModelFolder(join(folder, name), opened.config, (tensor) => values.get(tensor)!, 'F32')
}

async function makeMaterial(): Promise<void> {
  await changedModel('overflowing', (name, values, width) => {
    const zeroFirstColumn = /embed_tokens|o_proj|down_proj/.test(name)
    if (zeroFirstColumn) for (let i = 0; i < values.length; i += width) values[i] = 0
    if (/embed_tokens/.test(name)) values.fill(0, poison * width, (poison + 1) * width)[poison * width] = 1
    if (name === 'model.layers.0.self_attn.q_proj.weight') values.fill(3e38, 0, width)
  })
  await changedModel('broken', (name, values) => {
    if (name === 'model.layers.1.mlp.up_proj.weight') values[77] = marked
  })
  // No model with NaN is written here, so its bytes are changed.
  const weights = join(folder, 'broken', 'model.safetensors')
  const bytes = readFileSync(weights)
  bytes.writeFloatLE(Number.NaN, bytes.indexOf(Buffer.from(Float32Array.of(marked).buffer)))
  writeFileSync(weights, bytes)
  const line = (ids: number[]) => JSON.stringify({ input_ids: ids, labels: ids })
  const healthy = Array.from({ length: 12 }, (_, i) => line([1, 300 + i, 310 + i, 320 + i, 330 + i]))
  const bad = line([1, poison, 305, 306])
  writeFileSync(join(folder, 'ninth.jsonl'), [...healthy.slice(0, 8), bad, ...healthy.slice(8)].join('\n'))
  writeFileSync(join(folder, 'healthy.jsonl'), healthy.join('\n'))
  writeFileSync(join(folder, 'test.jsonl'), [healthy[0], bad].join('\n'))
}

async function run(changes: Partial<RunConfigInput>, out: string) {
  const records: RecordBody[] = []
  const config = runConfigSchema.parse({
    model: { path: 'overflowing' },
    data: { source: { kind: 'tokens', path: 'healthy.jsonl' }, shuffle: false, maxLength: 16 },
    method: { name: 'lora', rank: 2 },
    optimizer: { learningRate: 1e-3 },
    training: { globalBatchSize: 2, microBatchSize: 1, epochs: 1 },
    spectra: { everySteps: null, atEnd: false },
    checkpoint: { everySteps: 1, keep: 2 },
    export: { model: true },
    ...changes,
  })
  const outcome = await executeRun(config, {
    roots: { models: [folder], data: [folder], anywhere: false },
    folder: join(folder, out),
    cacheFolder: null,
    threads: 1,
    memoryBytes: null,
    checkpointFrom: null,
    control: new RunControl(),
    emit: (body) => records.push(body),
  })
  const all = <K extends RecordKind>(kind: K) =>
    records.filter((body): body is RecordBodyOf<K> => body.kind === kind)
  return { outcome, all }
}

/** Every checkpoint of a run is whole and finite. */
function checkpoints(out: string): string[] {
  const names = readdirSync(join(folder, out, 'checkpoints')).sort()
  for (const name of names)
    for (const tensor of openSafetensors(
      join(folder, out, 'checkpoints', name, 'state.safetensors'),
    ).tensors.values())
      expect(readFloat32(tensor).every(Number.isFinite), `${name} ${tensor.name}`).toBe(true)
  return names
}

describe.skipIf(sharedMissing)(`numbers that are not finite ${sharedMissing ?? ''}`, () => {
  it('in a file of the model: the tensor is named before anything starts', async () => {
    const { outcome, all } = await run({ model: { path: 'broken' } }, 'a')
    expect(outcome).toMatchObject({
      state: 'failed',
      steps: 0,
      error: {
        code: 'NUMERIC',
        message: expect.stringMatching(/broken: tensor model.layers.1.mlp.up_proj.weight .* holds NaN/),
        hint: expect.stringMatching('files'),
      },
    })
    expect(all('scalars')).toEqual([])
  })

  it('in a batch: the step is told, does not count, and the last good checkpoints stay', async () => {
    const { outcome, all } = await run(
      { data: { source: { kind: 'tokens', path: 'ninth.jsonl' }, shuffle: false, maxLength: 16 } },
      'b',
    )
    expect(outcome).toMatchObject({
      state: 'failed',
      steps: 4,
      error: {
        code: 'NUMERIC',
        message: expect.stringMatching(
          /^step 5: the loss is NaN; first not finite: the output of model.layers.0.self_attn.q_proj .*micro-batch 1 of 2/,
        ),
      },
    })
    const told = all('scalars').filter(({ values }) => 'train/loss' in values)
    expect(told.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5])
    expect(told[4]!.values['train/loss']).toBeNaN()
    expect(told[4]!.values).not.toHaveProperty('train/updateNorm')
    expect(checkpoints('b')).toEqual(['step-00000003', 'step-00000004'])
    expect(all('artifact')).toEqual([])
  })

  it('in the last evaluation: the trained weights are kept in a checkpoint, nothing is exported', async () => {
    const source = { kind: 'tokens', path: 'healthy.jsonl', evaluationPath: 'test.jsonl' } as const
    const { outcome, all } = await run(
      { data: { source, shuffle: false, maxLength: 16 }, checkpoint: { everySteps: null } },
      'c',
    )
    expect(outcome).toMatchObject({
      state: 'failed',
      steps: 6,
      error: {
        code: 'NUMERIC',
        message: expect.stringMatching(
          /^evaluation at step 6: .*layers.0.self_attn.q_proj.*evaluation example 2/,
        ),
        hint: expect.stringMatching('checkpoint'),
      },
    })
    expect(checkpoints('c')).toEqual(['step-00000006'])
    expect(all('artifact')).toEqual([])
    expect(all('evaluation')[0]!.loss).toBeNaN()
  })

  it('in the evaluation before training: the base model is named, not the settings', async () => {
    const source = { kind: 'tokens', path: 'healthy.jsonl', evaluationPath: 'test.jsonl' } as const
    const { outcome, all } = await run(
      { data: { source, shuffle: false, maxLength: 16 }, evaluation: { atStart: true } },
      'd',
    )
    expect(outcome).toMatchObject({
      state: 'failed',
      steps: 0,
      error: { code: 'NUMERIC', hint: expect.stringMatching('Nothing has been trained') },
    })
    expect(all('scalars').filter(({ values }) => 'train/loss' in values)).toEqual([])
  })

  it.skipIf(mpiMissing).each(['lora', 'hd-pissa'] as const)(
    `among MPI ranks with %s: one of two meets it, the run fails once, with its words ${mpiMissing ?? ''}`,
    async (name) => {
      const { outcome, all } = await run(
        {
          data: { source: { kind: 'tokens', path: 'ninth.jsonl' }, shuffle: false, maxLength: 16 },
          method: { name, rank: 2 },
          parallel: { devices: 2, mode: 'processes' },
          // Its components would not be finite.
          targetModules: ['v_proj'],
        },
        `ranks ${name}`,
      )
      expect(outcome).toMatchObject({
        state: 'failed',
        steps: 4,
        error: {
          code: 'NUMERIC',
          message: expect.stringMatching(/^step 5: the loss is NaN; .*layers.0.self_attn.q_proj/),
        },
      })
      expect(all('lifecycle').map(({ state }) => state)).toEqual(['running', 'failed'])
      expect(checkpoints(`ranks ${name}`)).toEqual(['step-00000003', 'step-00000004'])
    },
  )
})
