import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cpuBackend } from '../backends/cpu.ts'
import { createPortable } from '../linalg/portable.ts'
import { topSvd } from '../linalg/top-svd.ts'
import { parseConfig } from '../model/config.ts'
import { openModelFolder } from '../model/folder.ts'
import { loadModel } from '../model/model.ts'
import { openSafetensors, readFloat32 } from '../model/safetensors.ts'
import { writeModelFolder } from '../model/save.ts'
import { initialWeights } from '../pretrain/initialise.ts'
import { Random } from '../random.ts'
import { type PissaPair, pissaAsLora, writeLoraAdapter } from './adapter.ts'
import { writeDelta } from './delta.ts'
import { exportMergedModel, mergePair } from './merge.ts'
import { truncatedAdapter, truncatedPair } from './truncated.ts'

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
  await cpuBackend.start({ threads: 1 })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const module = 'model.layers.0.self_attn.q_proj'
const [rows, columns, rank] = [5, 4, 2]
const random = new Random(2)
const matrix = (size: number) => random.fillNormal(new Float32Array(size))
const pair: PissaPair = {
  module,
  rows,
  columns,
  a: matrix(rows * rank),
  b: matrix(rank * columns),
  initialA: matrix(rows * rank),
  initialB: matrix(rank * columns),
}

describe('PEFT adapters', () => {
  it('are stored under PEFT’s names in its orientation, with a config that it loads', async () => {
    await writeLoraAdapter(
      folder,
      { rank, alpha: 4, rankStabilized: true, dropout: 0.1, pairs: [pair] },
      'some/base',
    )
    const { tensors, metadata } = openSafetensors(join(folder, 'adapter_model.safetensors'))
    expect(metadata).toEqual({ format: 'pt' })
    const a = tensors.get(`base_model.model.${module}.lora_A.weight`)!
    const b = tensors.get(`base_model.model.${module}.lora_B.weight`)!
    expect([a.shape, b.shape]).toEqual([
      [rank, rows],
      [columns, rank],
    ])
    expect(readFloat32(a)[1 * rows + 3]).toBe(pair.a[3 * rank + 1])
    expect(readFloat32(b)[3 * rank + 1]).toBe(pair.b[1 * columns + 3])
    const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'))
    expect(config).toMatchObject({
      peft_type: 'LORA',
      r: rank,
      lora_alpha: 4,
      lora_dropout: 0.1,
      use_rslora: true,
      init_lora_weights: true,
      target_modules: ['q_proj'],
      base_model_name_or_path: 'some/base',
    })
  })

  it('PiSSA becomes LoRA of rank 2r whose product is s (A B − A0 B0) (invariant 33)', () => {
    const converted = pissaAsLora(rank, 3, [pair])
    expect([converted.rank, converted.alpha]).toEqual([4, 6])
    const zero = new Float32Array(rows * columns)
    const scale = 3 / rank
    const trained = mergePair(zero, pair, scale)
    const start = mergePair(zero, { rows, columns, a: pair.initialA, b: pair.initialB }, scale)
    const delta = mergePair(zero, converted.pairs[0]!, converted.alpha / converted.rank)
    for (const [i, value] of delta.entries()) expect(value).toBeCloseTo(trained[i]! - start[i]!, 5)
  })
})

describe('any update as an adapter of rank R', () => {
  const algebra = createPortable()
  const delta = Float64Array.from(matrix(rows * columns))
  const svd = (keep: number) =>
    topSvd(algebra, Float32Array.from(delta), { rows, columns, rank: keep }, { kind: 'full' })

  it('leaves out exactly the singular values beyond R (Eckart and Young), and says how much that is', () => {
    const { s } = svd(columns)
    for (let R = 1; R < columns; R++) {
      const found = truncatedPair(algebra, module, { rows, columns, delta }, svd(R), R)
      const [beyond, all] = [Math.hypot(...s.slice(R)), Math.hypot(...s)]
      expect(found.error / beyond).toBeCloseTo(1, 5)
      expect(found.relativeError / (beyond / all)).toBeCloseTo(1, 5)
      const { alpha, rank: written, pairs } = truncatedAdapter(R, [found])
      const product = mergePair(new Float32Array(rows * columns), pairs[0]!, alpha / written)
      expect(Math.hypot(...product.map((value, i) => value - delta[i]!)) / beyond).toBeCloseTo(1, 5)
    }
  })

  it('is the update itself, to float32, where R reaches min(m, n) or exceeds it', () => {
    for (const R of [columns, columns + 3]) {
      const found = truncatedPair(algebra, module, { rows, columns, delta }, svd(columns), R)
      expect(found.a).toHaveLength(rows * R)
      expect(found.relativeError).toBeLessThan(1e-6)
    }
  })
})

describe('ΔW', () => {
  it('is stored in float32 under the weights’ names, [out, in], small values with all their digits', async () => {
    const delta = Float64Array.from(matrix(rows * columns), (value) => 1e-12 * value)
    await writeDelta(join(folder, 'delta'), [{ module, rows, columns, delta: async () => delta }])
    const { tensors } = openSafetensors(join(folder, 'delta', 'delta.safetensors'))
    const stored = tensors.get(`${module}.weight`)!
    expect(stored.shape).toEqual([columns, rows])
    const values = readFloat32(stored)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++)
        expect(values[j * rows + i]).toBe(Math.fround(delta[i * columns + j]!))
  })
})

describe('merged models', () => {
  it('hold the merged weights of the named modules and the model’s own elsewhere', async () => {
    const config = parseConfig(
      {
        model_type: 'llama',
        hidden_size: 8,
        intermediate_size: 12,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        vocab_size: 10,
      },
      'config.json',
    )
    const base = join(folder, 'base')
    const weights = initialWeights(config, 1)
    await writeModelFolder(base, config, (name) => weights.get(name)!, 'F32')
    const model = loadModel(base)
    const own = openModelFolder(base)
    const read = (from: typeof own, name: string) => from.read(from.specs.find((spec) => spec.name === name)!)
    const adapter = { rows: 8, columns: 8, a: matrix(8 * rank), b: matrix(rank * 8) }
    const merged = mergePair(read(own, `${module}.weight`), adapter, 0.5)
    await exportMergedModel(join(folder, 'merged'), model, [module], async () => merged)
    model.dispose()
    const exported = openModelFolder(join(folder, 'merged'))
    for (const { name } of exported.specs)
      expect(read(exported, name)).toEqual(name === `${module}.weight` ? merged : read(own, name))
  })
})
