import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromFloat64Bytes, type RecordBodyOf, recordBodySchema } from '@rankscope/protocol'
import { afterAll, expect, test } from 'vitest'
import { closeSpectra } from '../linalg/index.ts'
import { openModelFolder } from '../model/folder.ts'
import { type TensorToWrite, writeSafetensors } from '../model/safetensors.ts'
import type { Changes } from './changes.ts'
import { inspectChanges } from './inspect.ts'
import { openAdapter } from './peft-adapter.ts'
import { compareModels } from './two-models.ts'

const folder = mkdtempSync(join(tmpdir(), 'rankscope-inspect-'))
const base = openModelFolder(join(import.meta.dirname, '../../../models/rankscope-mini'))
const module = 'model.layers.1.self_attn.k_proj'
const spec = base.specs.find(({ name }) => name === `${module}.weight`)!
const [rows, columns] = spec.shape as [number, number]
const rank = 2

afterAll(async () => {
  await closeSpectra()
  rmSync(folder, { recursive: true })
})

let count = 0

/** A folder as PEFT writes it. */
async function adapter(config: object, tensors: Record<string, [shape: number[], values: number[]]>) {
  const place = join(folder, `${++count}`)
  mkdirSync(place)
  writeFileSync(
    join(place, 'adapter_config.json'),
    JSON.stringify({ peft_type: 'LORA', r: rank, lora_alpha: 6, target_modules: ['k_proj'], ...config }),
  )
  const written = Object.entries(tensors).map(([name, [shape, values]]): TensorToWrite => {
    return {
      name: `base_model.model.${module}.${name}`,
      dtype: 'F32',
      shape,
      values: Float32Array.from(values),
    }
  })
  await writeSafetensors(join(place, 'adapter_model.safetensors'), written)
  return place
}

/** [height, width] with ones (or `value`) on the diagonal. */
function diagonal(height: number, width: number, value: number[] = []): [number[], number[]] {
  const at = (i: number) => (Math.floor(i / width) === i % width ? (value[i % width] ?? 1) : 0)
  return [[height, width], Array.from({ length: height * width }, (_, i) => at(i))]
}

async function inspected(changes: Changes): Promise<RecordBodyOf<'spectrum'>[]> {
  const records = []
  for await (const record of inspectChanges(changes, { analysesUpTo: 1024 })) records.push(record)
  for (const record of records) expect(recordBodySchema.safeParse(record).success).toBe(true)
  return records
}

const pair = { 'lora_A.weight': diagonal(rank, rows), 'lora_B.weight': diagonal(columns, rank, [5, 2]) }

test.each([
  { name: 'LoRA by α / r', config: {}, scale: 3 },
  { name: 'rsLoRA by α / √r', config: { use_rslora: true }, scale: 6 / Math.SQRT2 },
  { name: 'an α of its own', config: { alpha_pattern: { 'self_attn.k_proj': 4 } }, scale: 2 },
  { name: 'no α of another module', config: { alpha_pattern: { 'q_proj|proj': 4 } }, scale: 3 },
])('scales $name, without a base', async ({ config, scale }) => {
  const [record] = await inspected(openAdapter(await adapter(config, pair), null))
  const s = fromFloat64Bytes(record!.singularValues)
  expect(s).toHaveLength(Math.min(rows, columns))
  expect(s[0]).toBeCloseTo(5 * scale, 12)
  expect(s[1]).toBeCloseTo(2 * scale, 12)
  expect(record!.measures.numericalRankFloat64).toBe(2)
  expect(record).not.toHaveProperty('profiles')
})

test('with a base ΔW is analysed against it', async () => {
  const [record] = await inspected(openAdapter(await adapter({}, pair), base))
  const w = base.read(spec)
  expect(record!.measures.relativeFrobeniusNorm! / (Math.hypot(15, 6) / Math.hypot(...w))).toBeCloseTo(1, 6)
  expect(fromFloat64Bytes(record!.profiles!.inputVectors!)).toHaveLength(rows * 16)
})

test('DoRA: magnitudes of twice W0’s column norms double W0; HiRA: ΔW is W0 by the entries of A B', async () => {
  const w = base.read(spec)
  const norms = Array.from({ length: columns }, (_, j) =>
    Math.hypot(...Array.from({ length: rows }, (_, i) => w[i * columns + j]!)),
  )
  const dora = await adapter(
    { use_dora: true },
    {
      'lora_A.weight': diagonal(rank, rows),
      'lora_B.weight': [[columns, rank], new Array<number>(columns * rank).fill(0)],
      lora_magnitude_vector: [[columns], norms.map((norm) => 2 * norm)],
    },
  )
  const [doubled] = await inspected(openAdapter(dora, base))
  expect(doubled!.measures.relativeFrobeniusNorm).toBeCloseTo(1, 6)
  expect(doubled!.measures.singularValueDrift).toBeCloseTo(1, 6)
  expect(doubled!.measures.rotationLargest).toBeLessThan(1e-3)

  const hira = await adapter(
    { peft_type: 'HIRA' },
    {
      hira_A: [[rank, rows], new Array<number>(rank * rows).fill(0.5)],
      hira_B: [[columns, rank], new Array<number>(columns * rank).fill(0.25)],
    },
  )
  const [quarter] = await inspected(openAdapter(hira, base))
  expect(quarter!.measures.relativeFrobeniusNorm).toBeCloseTo(0.25, 6)
  expect(() => openAdapter(hira, null)).toThrow(/needs the base model/)
})

test('what cannot be read says why', async () => {
  const refused = async (config: object, tensors = pair as Parameters<typeof adapter>[1]) => {
    const place = await adapter(config, tensors)
    return () => openAdapter(place, base)
  }
  expect(await refused({ init_lora_weights: 'pissa' })).toThrow(/residual model/)
  expect(await refused({ peft_type: 'IA3' })).toThrow(/peft_type/)
  expect(await refused({ r: 3 })).toThrow(/rank 3/)
  expect(await refused({}, { 'lora_A.weight': diagonal(rank, rows) })).toThrow(/lora_B is missing/)
  const other = { 'lora_A.weight': diagonal(rank, rows + 1), 'lora_B.weight': diagonal(columns, rank) }
  expect(await refused({}, other)).toThrow(/the base has/)
})

test('a model has changed nothing of itself', async () => {
  const changes = compareModels(base, base)
  expect(changes.modules).toHaveLength(35)
  const [record] = await inspected({ ...changes, modules: changes.modules.slice(0, 1) })
  expect(record!.frobenius).toBe(0)
  expect(record!.measures.bfloat16Visible).toBe(0)
})
