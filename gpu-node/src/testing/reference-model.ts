/** Small models whose weights follow from the names of their tensors, by a rule that bench/reference/transformers_models.py knows. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig } from '../model/config.ts'
import { parameterSpecs } from '../model/parameters.ts'
import { writeSafetensors } from '../model/safetensors.ts'

/** Uniform numbers from a linear congruential generator that the tensor's name seeds (FNV-1a). */
function valuesOf(name: string, count: number): Float32Array {
  let state = 2_166_136_261
  for (const byte of Buffer.from(name)) state = Math.imul(state ^ byte, 16_777_619) >>> 0
  const [center, width] = name.endsWith('norm.weight') ? [1, 0.5] : [0, 0.8]
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return center + width * (state / 2 ** 32 - 0.5)
  })
}

/** Makes the folder `path` with the weights that `config`, the contents of config.json, asks for. */
export async function writeReferenceModel(path: string, config: object): Promise<string> {
  mkdirSync(path)
  writeFileSync(join(path, 'config.json'), JSON.stringify(config))
  const tensors = parameterSpecs(parseConfig(config, 'config.json')).map((spec) => {
    const shape = spec.transposed ? [...spec.shape].reverse() : spec.shape
    const count = shape.reduce((product, size) => product * size, 1)
    return { name: spec.name, shape, dtype: 'F32' as const, values: () => valuesOf(spec.name, count) }
  })
  await writeSafetensors(join(path, 'model.safetensors'), tensors)
  return path
}
