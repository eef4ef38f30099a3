/**
 * The weight files of a Hugging Face folder: one `model.safetensors`, or several shards that
 * `model.safetensors.index.json` lists as `{"weight_map": {tensor: file}}`.
 */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseOrThrow, RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import { readJsonFile } from './json-file.ts'
import { folderWithoutWeights } from './recognise.ts'
import { openSafetensors, type TensorInfo } from './safetensors.ts'

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) })

/** Every tensor of the folder by name. Throws MODEL_NOT_FOUND or MODEL_BROKEN, naming file and tensor. */
export function openWeights(folder: string): ReadonlyMap<string, TensorInfo> {
  const single = join(folder, 'model.safetensors')
  if (existsSync(single)) return openSafetensors(single).tensors
  const index = join(folder, 'model.safetensors.index.json')
  if (!existsSync(index)) throw folderWithoutWeights(folder)
  return openShards(folder, index)
}

function openShards(folder: string, index: string): ReadonlyMap<string, TensorInfo> {
  const { weight_map: weightMap } = parseOrThrow(
    indexSchema,
    readJsonFile(index, 'MODEL_BROKEN'),
    'MODEL_BROKEN',
    index,
  )
  const shards = new Map<string, ReadonlyMap<string, TensorInfo>>()
  const tensors = new Map<string, TensorInfo>()
  for (const [name, shard] of Object.entries(weightMap)) {
    // A shard is a sibling of the index: a path that leads elsewhere would escape the allowed folders.
    if (basename(shard) !== shard)
      throw broken(index, `tensor ${name} names a shard outside the folder, ${shard}`)
    const path = join(folder, shard)
    if (!shards.has(shard)) {
      if (!existsSync(path)) throw broken(index, `shard ${shard} is missing`)
      shards.set(shard, openSafetensors(path).tensors)
    }
    const tensor = shards.get(shard)?.get(name)
    if (!tensor) throw broken(path, `tensor ${name} is missing, although ${basename(index)} places it here`)
    tensors.set(name, tensor)
  }
  return tensors
}

function broken(file: string, what: string): RankscopeError {
  return new RankscopeError('MODEL_BROKEN', `${file}: ${what}`, {
    hint: 'Fetch all files of the model again.',
  })
}
