import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from './config.ts'
import { openModelFolder } from './folder.ts'
import { headName, parameterSpecs } from './parameters.ts'
import { type TensorToWrite, writeSafetensors } from './safetensors.ts'
import { writeModelFolder } from './save.ts'

const config = parseConfig(
  {
    ...{ model_type: 'llama', hidden_size: 8, intermediate_size: 12, num_hidden_layers: 1 },
    ...{ num_attention_heads: 2, vocab_size: 11, tie_word_embeddings: true },
  },
  'config.json',
)
const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n'
const valuesOf = (shape: readonly number[], seed = 1) =>
  Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, index) =>
    Math.sin(seed + index),
  )
const tensor = (name: string, shape: readonly number[], seed = 1): TensorToWrite => ({
  ...{ name, shape, dtype: 'F32' },
  values: () => valuesOf(shape, seed),
})

let root: string
let made = 0
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'rankscope-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

type Files = Record<string, string | TensorToWrite[]>

/** A folder with the named files: texts, or tensors of a safetensors file. */
async function folderOf(files: Files): Promise<string> {
  const folder = join(root, String(made++))
  mkdirSync(folder)
  await write(folder, files)
  return folder
}

/** A whole model, with `changes` to its files. */
async function model(changes: Files = {}): Promise<string> {
  const folder = await folderOf({})
  const shapes = new Map(parameterSpecs(config).map(({ name, shape }) => [name, shape]))
  await writeModelFolder(folder, config, (name) => valuesOf(shapes.get(name)!), 'F32')
  await write(folder, changes)
  return folder
}

async function write(folder: string, files: Files): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === 'string') writeFileSync(join(folder, name), content)
    else await writeSafetensors(join(folder, name), content)
  }
}

const stored = (rename: (name: string) => string = (name) => name): TensorToWrite[] =>
  parameterSpecs(config).map(({ name, shape, transposed }) =>
    tensor(rename(name), transposed ? [...shape].reverse() : shape),
  )

describe('what is no model is named for what it is, with the command that helps', () => {
  it.each<[string, () => Promise<string>, string, RegExp, RegExp]>([
    [
      'weights that are an LFS pointer',
      () => model({ 'model.safetensors': pointer }),
      'MODEL_BROKEN',
      /model\.safetensors: this is a Git LFS pointer/,
      /git lfs pull/,
    ],
    [
      'a config that is an LFS pointer',
      () => model({ 'config.json': pointer }),
      'MODEL_BROKEN',
      /config\.json: this is a Git LFS pointer/,
      /git lfs pull/,
    ],
    [
      'weights that are a web page',
      () => model({ 'model.safetensors': '<!DOCTYPE html>' }),
      'MODEL_BROKEN',
      /a web page/,
      /again/,
    ],
    [
      'weights that are GGUF',
      () => model({ 'model.safetensors': 'GGUF\x03\0\0\0' }),
      'MODEL_BROKEN',
      /a GGUF file/,
      /safetensors/,
    ],
    [
      'weights of torch.save by another name',
      () => model({ 'model.safetensors': 'PK\x03\x04....' }),
      'MODEL_BROKEN',
      /a file of torch\.save/,
      /save_pretrained/,
    ],
    [
      'a file',
      async () => join(await model(), 'model.safetensors'),
      'MODEL_NOT_FOUND',
      /the weights alone/,
      /folder/,
    ],
    [
      'a GGUF file',
      async () => join(await folderOf({ 'a.gguf': 'GGUF....' }), 'a.gguf'),
      'MODEL_NOT_FOUND',
      /a GGUF file/,
      /original/,
    ],
    [
      'a folder with a GGUF file alone',
      () => folderOf({ 'a.gguf': 'GGUF....' }),
      'MODEL_NOT_FOUND',
      /a\.gguf: this is a GGUF file/,
      /original/,
    ],
    [
      'an adapter',
      () => folderOf({ 'adapter_config.json': '{}', 'adapter_model.safetensors': [] }),
      'MODEL_UNSUPPORTED',
      /a PEFT adapter/,
      /merge_and_unload/,
    ],
    [
      'an adapter beside a config',
      () =>
        folderOf({
          'adapter_config.json': '{}',
          'config.json': JSON.stringify({
            model_type: 'llama',
            hidden_size: 8,
            intermediate_size: 12,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            vocab_size: 11,
          }),
        }),
      'MODEL_UNSUPPORTED',
      /a PEFT adapter/,
      /merge_and_unload/,
    ],
    [
      'a checkpoint of Meta',
      () => folderOf({ 'params.json': '{}', 'consolidated.00.pth': '' }),
      'MODEL_NOT_FOUND',
      /params\.json/,
      /convert_llama_weights_to_hf/,
    ],
    ['an empty folder', () => folderOf({}), 'MODEL_NOT_FOUND', /no config\.json/, /Hugging Face/],
    [
      'the bare model',
      () => model({ 'model.safetensors': stored((name) => name.replace('model.', '')) }),
      'MODEL_UNSUPPORTED',
      /names begin with no prefix/,
      /save_pretrained/,
    ],
    [
      'a compiled model',
      () => model({ 'model.safetensors': stored((name) => `_orig_mod.${name}`) }),
      'MODEL_UNSUPPORTED',
      /begin with "_orig_mod\.model\."/,
      /wrapper/,
    ],
    [
      'quantised weights',
      () =>
        model({
          'model.safetensors': [
            ...stored(),
            {
              name: 'model.layers.0.mlp.up_proj.qweight',
              shape: [4],
              dtype: 'I32',
              bytes: new Uint8Array(16),
            },
          ],
        }),
      'MODEL_UNSUPPORTED',
      /qweight of I32: the weights are quantised/,
      /dequantize/,
    ],
    [
      'weights of eight bits',
      () =>
        model({
          'model.safetensors': [
            ...stored().slice(1),
            {
              name: 'model.embed_tokens.weight',
              shape: [11, 8],
              dtype: 'F8_E4M3',
              bytes: new Uint8Array(88),
            },
          ],
        }),
      'MODEL_UNSUPPORTED',
      /F8_E4M3: the weights are quantised/,
      /dequantize/,
    ],
    [
      'an adapter inside the weights',
      () =>
        model({
          'model.safetensors': [...stored(), tensor('model.layers.0.self_attn.q_proj.lora_A.weight', [2, 8])],
        }),
      'MODEL_UNSUPPORTED',
      /belongs to a LoRA adapter/,
      /merge_and_unload/,
    ],
    [
      'biases that the config does not name',
      () =>
        model({ 'model.safetensors': [...stored(), tensor('model.layers.0.self_attn.q_proj.bias', [8])] }),
      'MODEL_UNSUPPORTED',
      /q_proj\.bias has no place/,
      /attention_bias/,
    ],
    [
      'norms of queries in a llama',
      () =>
        model({ 'model.safetensors': [...stored(), tensor('model.layers.0.self_attn.q_norm.weight', [4])] }),
      'MODEL_UNSUPPORTED',
      /q_norm\.weight has no place/,
      /another architecture/,
    ],
    [
      'more layers than the config has',
      () =>
        model({ 'model.safetensors': [...stored(), tensor('model.layers.1.input_layernorm.weight', [8])] }),
      'MODEL_UNSUPPORTED',
      /model\.layers\.1\.input_layernorm\.weight has no place/,
      /num_hidden_layers/,
    ],
  ])('%s', async (_, make, code, message, hint) => {
    const folder = await make()
    expect(() => openModelFolder(folder)).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringMatching(message),
        hint: expect.stringMatching(hint),
      }),
    )
  })

  it.each([
    [{ 'pytorch_model.bin': 'PK\x03\x04' }, 'MODEL_NOT_FOUND', /pytorch_model\.bin alone/],
    [
      { 'model-00001-of-00002.safetensors': 'x' },
      'MODEL_BROKEN',
      /index\.json, which lists them, is missing/,
    ],
  ])('a folder whose weights are %j', async (files, code, message) => {
    const text = JSON.stringify({
      ...{ model_type: 'llama', hidden_size: 8, intermediate_size: 12, num_hidden_layers: 1 },
      ...{ num_attention_heads: 2, vocab_size: 11 },
    })
    const folder = await folderOf({ ...files, 'config.json': text })
    expect(() => openModelFolder(folder)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  })
})

describe('a head stored beside tie_word_embeddings', () => {
  const embedding = parameterSpecs(config)[0]!
  it('that repeats the embedding is the embedding', async () => {
    const opened = openModelFolder(
      await model({ 'model.safetensors': [...stored(), tensor(headName, embedding.shape)] }),
    )
    expect(opened.config.tiedEmbeddings).toBe(true)
    expect(opened.notes).toEqual([])
  })

  it('that differs is used, and told', async () => {
    const own = tensor(headName, embedding.shape, 2)
    const opened = openModelFolder(await model({ 'model.safetensors': [...stored(), own] }))
    expect(opened.config.tiedEmbeddings).toBe(false)
    expect(opened.notes).toEqual([expect.stringContaining('lm_head.weight is stored and differs')])
    const head = opened.specs.find(({ name }) => name === headName)!
    expect([...opened.read(head)]).toEqual([...valuesOf(embedding.shape, 2)])
  })
})

describe('generation_config.json', () => {
  const withGeneration = async (eos_token_id: unknown) =>
    openModelFolder(await model({ 'generation_config.json': JSON.stringify({ eos_token_id }) }))

  it('adds the tokens that end an answer; those outside the vocabulary are told', async () => {
    expect((await withGeneration([2, 5])).stopTokenIds).toEqual([2, 5])
    expect((await withGeneration(7)).stopTokenIds).toEqual([7])
    expect((await withGeneration(null)).stopTokenIds).toEqual([])
    const outside = await withGeneration([2, 11])
    expect(outside.stopTokenIds).toEqual([2])
    expect(outside.notes).toEqual([expect.stringMatching(/eos_token_id 11 is outside the vocabulary of 11/)])
  })

  it.each([-3, 1.5, 'x', [2, null]])('%j as its end is refused', async (eos) => {
    await expect(withGeneration(eos)).rejects.toThrow(expect.objectContaining({ code: 'MODEL_BROKEN' }))
  })
})
