/** Exports after the fact, from the checkpoints of real runs of every method. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ExportRequest,
  exportRequestSchema,
  type RunConfigInput,
  runConfigSchema,
} from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listCheckpoints } from '../checkpoint-folders.ts'
import { openAdapter } from '../inspect/peft-adapter.ts'
import { selectLinearAlgebra } from '../linalg/select.ts'
import { denseUpdate } from '../linalg/spectrum.ts'
import { type ModelFolder, openModelFolder } from '../model/folder.ts'
import { openSafetensors } from '../model/safetensors.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { executeExport } from './execute-export.ts'
import { executeRun, RunControl } from './run.ts'

let folder: string
let lastExport = 0
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const roots = { models: [sharedPath('data/models')], data: [sharedPath('golden/data')], anywhere: false }
const python = process.env['RANKSCOPE_PYTHON'] ?? 'python3'
const peftMissing =
  spawnSync(python, ['-c', 'import torch, transformers, peft']).status === 0
    ? null
    : `skipped: ${python} has no torch, transformers and peft (RANKSCOPE_PYTHON names another)`

const methods = {
  lora: { method: { name: 'lora', rank: 2 } },
  rslora: { method: { name: 'lora', rank: 2, rankStabilized: true } },
  dora: { method: { name: 'dora', rank: 2 } },
  hira: { method: { name: 'hira', rank: 2 } },
  pissa: { method: { name: 'pissa', rank: 2 } },
  'hd-pissa': { method: { name: 'hd-pissa', rank: 2, attribution: true }, parallel: { devices: 2 } },
  'hd-pissa, bfloat16': {
    method: { name: 'hd-pissa', rank: 2, weightStorage: 'bfloat16' },
    parallel: { devices: 2 },
  },
} as const satisfies Record<string, Partial<RunConfigInput>>
type Name = keyof typeof methods

const checkpoints = new Map<Name, Promise<string>>()

/** The newest checkpoint of a short run, which is trained once. */
function checkpointOf(name: Name): Promise<string> {
  const known = checkpoints.get(name) ?? train(name)
  checkpoints.set(name, known)
  return known
}

async function train(name: Name): Promise<string> {
  const place = join(folder, name)
  const config = runConfigSchema.parse({
    model: { path: 'stories260K' },
    data: { source: { kind: 'tokens', path: 'lm_stories260K_a.jsonl' }, shuffle: false },
    optimizer: { learningRate: 1e-3 },
    schedule: { kind: 'constant', warmupRatio: 0 },
    training: { globalBatchSize: 4, microBatchSize: 2, maxSteps: 3 },
    evaluation: { atEnd: false },
    spectra: { everySteps: null, atEnd: false },
    ...methods[name],
  })
  const outcome = await executeRun(config, {
    roots,
    folder: place,
    cacheFolder: null,
    threads: 1,
    memoryBytes: null,
    checkpointFrom: null,
    control: new RunControl(),
    emit: () => {},
  })
  expect(outcome).toMatchObject({ state: 'finished' })
  return listCheckpoints([join(place, 'checkpoints')])[0]!.path
}

async function exported(name: Name, raw: object, progress: (share: number | null) => void = () => {}) {
  const request: ExportRequest = exportRequestSchema.parse(raw)
  const order = { checkpoint: await checkpointOf(name), request, roots, threads: 1, memoryBytes: null }
  const target = join(folder, `export-${lastExport++}`)
  return { ...(await executeExport({ ...order, folder: target }, progress)), folder: target }
}

const base = () => openModelFolder(sharedPath('data/models/stories260K'))
const weightOf = (opened: ModelFolder, module: string) =>
  opened.read(opened.specs.find((spec) => spec.name === `${module}.weight`)!)

/** The largest difference of base + adapter from the merged model, over all modules. */
function deviation(adapterFolder: string, mergedFolder: string): number {
  const { algebra } = selectLinearAlgebra()
  const [before, merged] = [base(), openModelFolder(mergedFolder)]
  const { modules } = openAdapter(adapterFolder, before)
  expect(modules).toHaveLength(35)
  return Math.max(
    ...modules.map(({ name, delta }) => {
      const [w, wanted] = [weightOf(before, name), weightOf(merged, name)]
      const change = denseUpdate(algebra, delta(w))
      return w.reduce((most, value, i) => Math.max(most, Math.abs(value + change[i]! - wanted[i]!)), 0)
    }),
  )
}

describe.skipIf(sharedMissing)(`exports of a checkpoint ${sharedMissing ?? ''}`, () => {
  it.each(['lora', 'rslora', 'dora', 'hira', 'pissa'] as const)(
    'the adapter of %s on the base is the merged model, to float32',
    async (name) => {
      const model = await exported(name, { as: 'model' })
      const adapter = await exported(name, { as: 'adapter' })
      expect(deviation(adapter.folder, model.folder)).toBeLessThan(2e-6)
      expect(model).toMatchObject({ step: 3, written: { path: model.folder } })
    },
  )

  it.each(['dora', 'hd-pissa, bfloat16'] as const)(
    'a LoRA of full rank gives the merged model of %s',
    async (name) => {
      const model = await exported(name, { as: 'model' })
      const lora = await exported(name, { as: 'lora', energy: 1 })
      expect(deviation(lora.folder, model.folder)).toBeLessThan(2e-6)
    },
  )

  it('the adapter of HD-PiSSA is its first-order part, of rank 2Kr, with what it leaves out beside it', async () => {
    const { folder: place, notes } = await exported('hd-pissa', { as: 'adapter' })
    const config = JSON.parse(readFileSync(join(place, 'adapter_config.json'), 'utf8'))
    expect(config).toMatchObject({ r: 8, lora_alpha: 8, peft_type: 'LORA' })
    const { modules } = JSON.parse(readFileSync(join(place, 'truncation.json'), 'utf8'))
    const errors = Object.values(modules as Record<string, { relativeError: number }>)
    // Small changes: the second order is small beside the first, and not nothing.
    for (const { relativeError } of errors) {
      expect(relativeError).toBeLessThan(0.1)
      expect(relativeError).toBeGreaterThan(1e-5)
    }
    expect(notes.join()).toContain('first-order part as LoRA of rank 8')
    await expect(exported('hd-pissa, bfloat16', { as: 'adapter' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      hint: expect.stringContaining('truncated SVD'),
    })
  })

  it('what a truncation leaves out is known before: the outlook’s worst error is the adapter’s', async () => {
    const { outlook, written } = await exported('dora', { as: 'outlook' })
    expect(written).toBeNull()
    for (const rank of [4, 16]) {
      const { worst, module } = outlook!.byRank.find((row) => row.rank === rank)!
      const lora = await exported('dora', { as: 'lora', rank })
      const { modules } = JSON.parse(readFileSync(join(lora.folder, 'truncation.json'), 'utf8'))
      expect(modules[module].relativeError / worst).toBeCloseTo(1, 3)
    }
    const { rank } = outlook!.byEnergy.find(({ energy }) => energy === 0.99)!
    const byEnergy = await exported('dora', { as: 'lora', energy: 0.99 })
    expect(JSON.parse(readFileSync(join(byEnergy.folder, 'adapter_config.json'), 'utf8')).r).toBe(rank)
  })

  it('the outlook counts the entries that a save in bfloat16 and in float16 keeps', async () => {
    const { outlook } = await exported('pissa', { as: 'outlook' })
    const whole = openModelFolder((await exported('pissa', { as: 'model' })).folder)
    const before = base()
    for (const dtype of ['bfloat16', 'float16'] as const) {
      const stored = openModelFolder((await exported('pissa', { as: 'model', dtype })).folder)
      // The base stored in the same way: what an entry that did not survive looks like.
      let [changed, kept] = [0, 0]
      for (const { name } of before.specs.filter((spec) => spec.name.includes('_proj'))) {
        const module = name.replace(/\.weight$/, '')
        const [w, now, narrow] = [before, whole, stored].map((opened) => weightOf(opened!, module))
        const rounded = narrowed(w!, dtype)
        for (let i = 0; i < w!.length; i++) {
          if (w![i] === now![i]) continue
          changed++
          if (narrow![i] !== rounded[i]) kept++
        }
      }
      expect(outlook!.survives![dtype]).toBeCloseTo(kept / changed, 10)
      expect(kept).toBeLessThan(changed)
    }
  })

  it('a model in shards is the model, no file larger than asked for unless a single tensor is', async () => {
    const shares: (number | null)[] = []
    const shardGib = 0.0001
    const sharded = await exported('lora', { as: 'model', shardGib })
    const files = readdirSync(sharded.folder).filter((name) => name.endsWith('.safetensors'))
    expect(files.length).toBeGreaterThan(5)
    for (const name of files) {
      const place = join(sharded.folder, name)
      const isLarger = statSync(place).size > shardGib * 2 ** 30 + 4096
      if (isLarger) expect(openSafetensors(place).tensors.size).toBe(1)
    }
    const single = await exported('lora', { as: 'model' }, (share) => shares.push(share))
    expect(readdirSync(single.folder)).toContain('model.safetensors')
    const [one, other] = [openModelFolder(single.folder), openModelFolder(sharded.folder)]
    for (const spec of one.specs) expect(other.read(spec)).toEqual(one.read(spec))
    expect(shares.filter((share) => share !== null).length).toBeGreaterThanOrEqual(one.specs.length)
  })

  it('an export that fails leaves nothing, and a folder that is there is not touched', async () => {
    const request = exportRequestSchema.parse({ as: 'model' })
    const [checkpoint, target] = [await checkpointOf('lora'), join(folder, 'refused')]
    const order = { checkpoint, request, folder: target, roots, threads: 1 }
    await expect(executeExport({ ...order, memoryBytes: 2 ** 20 }, () => {})).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
    })
    const broken = { ...order, checkpoint: join(folder, 'none'), memoryBytes: null }
    await expect(executeExport(broken, () => {})).rejects.toMatchObject({ code: 'CHECKPOINT_BROKEN' })
    expect([existsSync(target), existsSync(`${target}.partial`)]).toEqual([false, false])
    const { folder: place } = await exported('lora', { as: 'delta' })
    await expect(
      executeExport({ ...order, folder: place, memoryBytes: null }, () => {}),
    ).rejects.toMatchObject({ code: 'FILE_UNUSABLE' })
  })

  it.skipIf(peftMissing)(
    `PEFT finds the base of every adapter by itself, and computes what Transformers does of the merged model ${peftMissing ?? ''}`,
    async () => {
      for (const name of ['dora', 'hira', 'pissa', 'hd-pissa'] as const) {
        const model = await exported(name, { as: 'model' })
        const adapters = [await exported(name, { as: 'lora', energy: 1 })]
        if (name !== 'hd-pissa') adapters.push(await exported(name, { as: 'adapter' }))
        const script = new URL('../../../bench/reference/exports_check.py', import.meta.url).pathname
        const places = [model, ...adapters].map((one) => one.folder)
        const check = spawnSync(python, [script, ...places], {
          encoding: 'utf8',
          env: { ...process.env, HF_HUB_OFFLINE: '1' },
        })
        expect(check.status, check.stderr).toBe(0)
        const { changed, differences } = JSON.parse(check.stdout)
        expect(changed).toBeGreaterThan(1e-3)
        for (const difference of Object.values(differences)) expect(difference, name).toBeLessThan(1e-4)
      }
    },
    180_000,
  )
})

/** As `dtype` holds them, by the bits of a float32. */
function narrowed(values: Float32Array, dtype: 'bfloat16' | 'float16'): Float32Array {
  if (dtype === 'bfloat16') {
    const bits = new Uint32Array(Float32Array.from(values).buffer)
    for (let i = 0; i < bits.length; i++) {
      const odd = (bits[i]! >>> 16) & 1
      bits[i] = (bits[i]! + 0x7fff + odd) & 0xffff0000
    }
    return new Float32Array(bits.buffer)
  }
  return values.map((value) => {
    if (value === 0) return 0
    // Eleven significant bits, and a smallest step of 2⁻²⁴.
    const step = 2 ** Math.max(Math.floor(Math.log2(Math.abs(value))) - 10, -24)
    const places = value / step
    const down = Math.floor(places)
    const rest = places - down
    return (rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down) * step
  })
}
