import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memory } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cpuBackend } from '../backends/cpu.ts'
import { valueAndGradients } from '../ops/index.ts'
import { Random } from '../random.ts'
import { parseConfig } from './config.ts'
import { modelContentHash, openModelFolder } from './folder.ts'
import { loss, plainLinear, sequenceLogits } from './llama.ts'
import { loadModel } from './model.ts'
import { headName, parameterCount, parameterSpecs, targetModulePaths, transpose } from './parameters.ts'
import { openSafetensors, readFloat32, type TensorToWrite, writeSafetensors } from './safetensors.ts'
import { saveModel, writeModelFolder } from './save.ts'

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
  await cpuBackend.start({ threads: 1 })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const tiny = {
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 4,
  vocab_size: 11,
  eos_token_id: 2,
}

/** A folder with random weights for the given config changes. */
async function randomFolder(name: string, changes: object = {}): Promise<string> {
  const config = parseConfig({ ...tiny, ...changes }, 'config.json')
  const random = new Random(1)
  const values = new Map(
    parameterSpecs(config).map((spec) => {
      const length = spec.shape.reduce((product, size) => product * size, 1)
      return [spec.name, random.fillNormal(new Float32Array(length), 0, 0.3)]
    }),
  )
  const path = join(folder, name)
  await writeModelFolder(path, config, (name) => values.get(name)!, 'F32')
  return path
}

type HeldTensor = { name: string; shape: readonly number[]; dtype: 'F32'; values: Float32Array }

/** The stored tensors of a folder, changed by `change`, written back. */
async function rewrite(path: string, change: (tensors: HeldTensor[]) => TensorToWrite[]): Promise<string> {
  const file = join(path, 'model.safetensors')
  const tensors = [...openSafetensors(file).tensors.values()].map(
    (info): HeldTensor => ({
      name: info.name,
      shape: info.shape,
      dtype: 'F32',
      values: readFloat32(info),
    }),
  )
  await writeSafetensors(file, change(tensors))
  return path
}

async function logitsOf(path: string): Promise<Float32Array> {
  const model = loadModel(path)
  const logits = sequenceLogits(model, Int32Array.of(1, 5, 3, 7, 2, 9), { batch: 1, sequence: 6 })
  const values = (await logits.data()) as Float32Array
  logits.dispose()
  model.dispose()
  return values
}

describe('model folders', async () => {
  it.each([
    ['llama, untied', {}],
    ['llama, tied', { tie_word_embeddings: true }],
    ['qwen2 with biases', { model_type: 'qwen2' }],
    ['mistral', { model_type: 'mistral', sliding_window: 3 }],
  ])('a saved model gives the same logits when loaded again: %s', async (name, changes) => {
    const path = await randomFolder(name.replaceAll(' ', '-'), changes)
    const before = memory().numTensors
    const model = loadModel(path)
    const copy = join(folder, `${name}-copy`)
    writeFileSync(join(path, 'tokenizer.json'), '{"kept": "verbatim"}')
    await saveModel(copy, model)
    model.dispose()
    expect(await logitsOf(copy)).toEqual(await logitsOf(path))
    expect(readFileSync(join(copy, 'tokenizer.json'), 'utf8')).toBe('{"kept": "verbatim"}')
    expect(openSafetensors(join(copy, 'model.safetensors')).tensors.has(headName)).toBe(
      !('tie_word_embeddings' in changes),
    )
    expect(memory().numTensors).toBe(before)
  })

  it('replaced weights are written in place of the model’s own', async () => {
    const path = await randomFolder('replaced')
    const model = loadModel(path)
    const name = 'model.layers.1.mlp.down_proj.weight'
    const values = new Float32Array(12 * 8).fill(0.25)
    const replaced = new Map([[name, async () => values]])
    await saveModel(join(folder, 'replaced-copy'), model, { replaced, dtype: 'F16' })
    model.dispose()
    const opened = openModelFolder(join(folder, 'replaced-copy'))
    expect(opened.read(opened.specs.find((spec) => spec.name === name)!)).toEqual(values)
  })

  it('a tied model may store its one matrix as lm_head.weight alone', async () => {
    const path = await randomFolder('tied-head', { tie_word_embeddings: true })
    const expected = await logitsOf(path)
    await rewrite(path, (tensors) =>
      tensors.map((tensor) =>
        tensor.name === 'model.embed_tokens.weight' ? { ...tensor, name: headName } : tensor,
      ),
    )
    expect(await logitsOf(path)).toEqual(expected)
  })

  it('a sliding window changes what later tokens see, and only those beyond it', async () => {
    const windowed = await logitsOf(
      await randomFolder('window', { model_type: 'mistral', sliding_window: 3 }),
    )
    const full = await logitsOf(await randomFolder('no-window', { model_type: 'mistral' }))
    const rowsEqual = Array.from({ length: 6 }, (_, row) =>
      Array.from(
        { length: 11 },
        (_, j) => Math.abs(windowed[row * 11 + j]! - full[row * 11 + j]!) < 1e-6,
      ).every(Boolean),
    )
    expect(rowsEqual).toEqual([true, true, true, false, false, false])
  })

  it('a window as long as the sequence is no window', async () => {
    const windowed = await logitsOf(
      await randomFolder('wide-window', { model_type: 'mistral', sliding_window: 6 }),
    )
    expect(windowed).toEqual(await logitsOf(await randomFolder('no-window-2', { model_type: 'mistral' })))
  })

  it('grouped queries equal full heads whose keys and values are repeated', async () => {
    const grouped = await randomFolder('grouped')
    const repeated = join(folder, 'repeated')
    cpSync(grouped, repeated, { recursive: true })
    await rewrite(repeated, (tensors) =>
      tensors.map((tensor) => {
        if (!/[kv]_proj/.test(tensor.name) || !('values' in tensor)) return tensor
        // Rows of the stored [out, in] matrix: head g (4 rows of 8) serves query heads 2g and 2g + 1.
        const head = (g: number) => [...tensor.values.subarray(g * 32, g * 32 + 32)]
        const values = Float32Array.from([head(0), head(0), head(1), head(1)].flat())
        return { ...tensor, shape: [16, 8], values }
      }),
    )
    const config = JSON.parse(readFileSync(join(repeated, 'config.json'), 'utf8'))
    writeFileSync(join(repeated, 'config.json'), JSON.stringify({ ...config, num_key_value_heads: 4 }))
    const [a, b] = [await logitsOf(grouped), await logitsOf(repeated)]
    for (const [i, value] of a.entries()) expect(value).toBeCloseTo(b[i]!, 5)
  })

  it('old rotary buffers are passed over, any other stranger is refused by name', async () => {
    const path = await randomFolder('stranger')
    const extra = (name: string): TensorToWrite => ({
      name,
      shape: [1],
      dtype: 'F32',
      values: Float32Array.of(1),
    })
    await rewrite(path, (tensors) => [...tensors, extra('model.layers.0.self_attn.rotary_emb.inv_freq')])
    expect(() => openModelFolder(path)).not.toThrow()
    await rewrite(path, (tensors) => [...tensors, extra('model.layers.0.self_attn.q_proj.bias')])
    expect(() => openModelFolder(path)).toThrow(/tensor model.layers.0.self_attn.q_proj.bias has no place/)
  })

  it('a missing tensor, a wrong shape and a folder that is no model are named', async () => {
    const code = (value: string) => expect.objectContaining({ code: value })
    const name = 'model.layers.1.mlp.up_proj.weight'
    const missing = await rewrite(await randomFolder('missing'), (tensors) =>
      tensors.filter((tensor) => tensor.name !== name),
    )
    expect(() => openModelFolder(missing)).toThrow(
      new RegExp(`missing.model.safetensors: tensor ${name} is missing`),
    )
    const shape = await rewrite(await randomFolder('shape'), (tensors) =>
      tensors.map((tensor) => (tensor.name === name ? { ...tensor, shape: [8, 12] } : tensor)),
    )
    expect(() => openModelFolder(shape)).toThrow(
      /up_proj.weight has shape \[8, 12\], config.json asks for \[12, 8\]/,
    )
    expect(() => openModelFolder(shape)).toThrow(code('MODEL_BROKEN'))
    expect(() => openModelFolder(join(folder, 'nowhere'))).toThrow(code('MODEL_NOT_FOUND'))
    expect(() => openModelFolder(folder)).toThrow(/has no config.json/)
    const weightless = await randomFolder('weightless')
    rmSync(join(weightless, 'model.safetensors'))
    expect(() => openModelFolder(weightless)).toThrow(code('MODEL_NOT_FOUND'))
  })

  it('the content hash follows the weights and nothing else', async () => {
    const path = await randomFolder('hashed')
    const first = await modelContentHash(path)
    writeFileSync(join(path, 'README.md'), 'about')
    expect(await modelContentHash(path)).toBe(first)
    await rewrite(path, (tensors) =>
      tensors.map((t) => ('values' in t ? { ...t, values: t.values.map((x) => x * 2) as Float32Array } : t)),
    )
    expect(await modelContentHash(path)).not.toBe(first)
  })
})

describe('gradient checkpointing per block', async () => {
  it('changes neither the loss nor any gradient, and leaves no tensor behind', async () => {
    const model = loadModel(await randomFolder('checkpointed', { tie_word_embeddings: true }))
    model.rope.upTo(4)
    const ids = Int32Array.of(1, 5, 3, 7, 2, 9, 4, 4)
    const targets = Int32Array.of(5, 3, 7, -100, 9, 4, 4, 2)
    const batch = { batch: 2, sequence: 4, inputIds: ids, targets, weights: new Float32Array(8).fill(1 / 7) }
    const before = memory().numTensors
    const run = async (checkpointBlocks: boolean) => {
      const { value, gradients } = valueAndGradients(
        () => loss(model, batch, plainLinear(model), { checkpointBlocks }).loss,
        [...model.weights.values()],
      )
      const values = await Promise.all([value, ...gradients].map((tensor) => tensor.data()))
      for (const tensor of [value, ...gradients]) tensor.dispose()
      return values
    }
    expect(await run(true)).toEqual(await run(false))
    expect(memory().numTensors).toBe(before)
    model.dispose()
  })
})

describe('parameters', async () => {
  it('the count of Llama-2-7B is 6,738,415,616 (METHODS 2.0)', async () => {
    const config = parseConfig(
      {
        model_type: 'llama',
        hidden_size: 4096,
        intermediate_size: 11008,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        vocab_size: 32000,
      },
      'config.json',
    )
    expect(parameterCount(config)).toBe(6_738_415_616)
  })

  it('target modules are listed block by block in forward order', async () => {
    expect(targetModulePaths({ layers: 2 }, ['down_proj', 'q_proj'])).toEqual([
      'model.layers.0.self_attn.q_proj',
      'model.layers.0.mlp.down_proj',
      'model.layers.1.self_attn.q_proj',
      'model.layers.1.mlp.down_proj',
    ])
  })

  it('transposing twice gives the matrix back', async () => {
    const matrix = Float32Array.from({ length: 37 * 65 }, (_, i) => i)
    const once = transpose(matrix, 37, 65)
    expect(once[36]).toBe(matrix[36 * 65])
    expect(transpose(once, 65, 37)).toEqual(matrix)
  })
})
