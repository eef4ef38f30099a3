/**
 * Writes a model as a Hugging Face folder: `config.json` (old style), `model.safetensors` with linear weights back
 * in [out, in], and the tokenizer's files copied verbatim. transformers, vLLM and `loadModel` read it.
 */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { whileWriting } from '@rankscope/protocol'
import { writeTextDurably } from '../durable-files.ts'
import { formatConfig, type LlamaConfig } from './config.ts'
import { elementBytes } from './dtypes.ts'
import type { Model } from './model.ts'
import { parameterSpecs, transpose } from './parameters.ts'
import { elementCount, type TensorToWrite, writeSafetensors } from './safetensors.ts'
import { requireStorable } from './storable.ts'

const storedDtypes = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const
export type StoredDtype = keyof typeof storedDtypes

/** Files of a model folder that have nothing to do with the weights. */
const sideFiles = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'tokenizer.model',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
]

export interface SaveOptions {
  dtype?: StoredDtype
  /** Merged weights in place of the model's own, by tensor name, in the shape held in memory; made when it is written. */
  replaced?: ReadonlyMap<string, () => Promise<Float32Array>>
  /** Largest size of one file of weights; left out: a single file. A tensor that is larger has a file of its own. */
  shardBytes?: number
  /** Called as each tensor is written. */
  onProgress?: (done: number, total: number) => void
}

/** Writes `model` into `folder`, which is made where absent. The tokenizer comes from the model's own folder. */
export async function saveModel(folder: string, model: Model, options: SaveOptions = {}): Promise<void> {
  const values = async (name: string) =>
    (await options.replaced?.get(name)?.()) ?? ((await model.weight(name).data()) as Float32Array)
  await writeModelFolder(folder, model.config, values, options.dtype ?? 'F32', options)
  if (model.folder !== null && model.folder !== folder) copySideFiles(model.folder, folder)
}

/**
 * The same from the values of each tensor, in the shapes that `parameterSpecs` names; one tensor at a time is held. Throws
 * NUMERIC where a value is not finite in `dtype`.
 */
export async function writeModelFolder(
  folder: string,
  config: LlamaConfig,
  values: (name: string) => Float32Array | Promise<Float32Array>,
  dtype: StoredDtype,
  { shardBytes, onProgress }: Pick<SaveOptions, 'shardBytes' | 'onProgress'> = {},
): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const specs = parameterSpecs(config)
  let done = 0
  const tensors = specs.map(({ name, shape, transposed }): TensorToWrite => {
    const checked = async () => {
      onProgress?.(done++, specs.length)
      return requireStorable(name, await values(name), dtype)
    }
    if (!transposed) return { name, shape, dtype, values: checked }
    const [inputs = 1, outputs = 1] = shape
    const turned = async () => transpose(await checked(), inputs, outputs)
    return { name, shape: [outputs, inputs], dtype, values: turned }
  })
  await writeWeights(folder, tensors, elementBytes[dtype], shardBytes)
  writeJsonFile(join(folder, 'config.json'), formatConfig(config, storedDtypes[dtype]))
}

/** One file, or shards in the order of the tensors with the index that `openWeights` and transformers read. */
async function writeWeights(
  folder: string,
  tensors: readonly TensorToWrite[],
  bytesPerElement: number,
  shardBytes = Number.POSITIVE_INFINITY,
): Promise<void> {
  const size = ({ shape }: TensorToWrite) => elementCount(shape) * bytesPerElement
  const shards: TensorToWrite[][] = []
  let room = 0
  for (const tensor of tensors) {
    if (shards.length === 0 || size(tensor) > room) {
      shards.push([])
      room = shardBytes
    }
    shards.at(-1)!.push(tensor)
    room -= size(tensor)
  }
  const [only, ...others] = shards
  if (others.length === 0) return writeSafetensors(join(folder, 'model.safetensors'), only ?? [])
  const number = (value: number) => String(value).padStart(5, '0')
  const places: [string, string][] = []
  for (const [index, shard] of shards.entries()) {
    const file = `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`
    await writeSafetensors(join(folder, file), shard)
    for (const { name } of shard) places.push([name, file])
  }
  writeJsonFile(join(folder, 'model.safetensors.index.json'), {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + size(tensor), 0) },
    weight_map: Object.fromEntries(places),
  })
}

export function copySideFiles(from: string, to: string): void {
  for (const name of sideFiles) {
    const source = join(from, name)
    const target = join(to, name)
    if (existsSync(source)) whileWriting(target, () => copyFileSync(source, target))
  }
}

/** Writes indented JSON so that a reader never sees half of it. */
export function writeJsonFile(file: string, value: unknown): void {
  writeTextDurably(file, `${JSON.stringify(value, null, 2)}\n`)
}
