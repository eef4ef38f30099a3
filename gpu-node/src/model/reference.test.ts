import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memory, tensor } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cpuBackend } from '../backends/cpu.ts'
import { evaluationBatch } from '../data/batch.ts'
import { valueAndGradients } from '../ops/index.ts'
import { writeReferenceModel } from '../testing/reference-model.ts'
import { loss } from './llama.ts'
import { loadModel } from './model.ts'
import { saveModel } from './save.ts'

interface Case {
  name: string
  /** config.json as it stands on disk. */
  config: object
  ids: number[]
  loss: number
}

/** Written by bench/reference/transformers_models.py. */
const cases = readFileSync(join(import.meta.dirname, 'reference.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case)

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
  await cpuBackend.start({ threads: 1 })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function lossOf(path: string, ids: number[]): Promise<number> {
  const model = loadModel(path)
  const tokens = Int32Array.from(ids)
  const result = loss(model, evaluationBatch([{ inputIds: tokens, labels: tokens }], 0))
  const [value] = await result.loss.data()
  result.loss.dispose()
  result.perToken.dispose()
  model.dispose()
  return value!
}

describe('the loss that transformers computes, from the folder and from its export', () => {
  it.each(cases)('$name', async ({ name, config, ids, loss: expected }) => {
    const before = memory().numTensors
    const path = await writeReferenceModel(join(folder, name), config)
    expect(Math.abs((await lossOf(path, ids)) - expected)).toBeLessThan(1e-5)
    const model = loadModel(path)
    await saveModel(join(path, 'export'), model)
    model.dispose()
    expect(Math.abs((await lossOf(join(path, 'export'), ids)) - expected)).toBeLessThan(1e-5)
    expect(memory().numTensors).toBe(before)
  })
})

describe('gradients of what Qwen3 and biases add', () => {
  it('follow finite differences', async () => {
    const { config, ids } = cases.find(({ name }) => name === 'qwen3, tied, attention bias')!
    const model = loadModel(await writeReferenceModel(join(folder, 'gradients'), config))
    const tokens = Int32Array.from(ids)
    const batch = evaluationBatch([{ inputIds: tokens, labels: tokens }], 0)
    const value = () => {
      const result = loss(model, batch)
      result.perToken.dispose()
      return result.loss
    }
    const names = ['q_norm.weight', 'k_norm.weight', 'q_proj.weight', 'o_proj.bias'].map(
      (name) => `model.layers.1.self_attn.${name}`,
    )
    const variables = names.map((name) => model.weight(name))
    const { gradients } = valueAndGradients(value, variables)
    for (const [index, variable] of variables.entries()) {
      const gradient = (await gradients[index]!.data()) as Float32Array
      const values = (await variable.data()) as Float32Array
      const length = Math.sqrt(gradient.reduce((sum, x) => sum + x * x, 0))
      const step = 0.01
      const at = async (sign: number) => {
        const moved = values.map((x, j) => x + (sign * step * gradient[j]!) / length)
        variable.assign(tensor(moved, variable.shape))
        return (await value().data())[0]!
      }
      const slope = ((await at(1)) - (await at(-1))) / (2 * step)
      variable.assign(tensor(values, variable.shape))
      expect(slope / length, names[index]).toBeCloseTo(1, 2)
    }
    model.dispose()
  })
})
