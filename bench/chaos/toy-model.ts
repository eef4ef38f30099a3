/** A model that trains in milliseconds: two small blocks of seeded random weights, with the tokenizer of the built-in one. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { builtInModels } from '../../gpu-node/src/daemon/daemon.ts'
import { parseConfig } from '../../gpu-node/src/model/config.ts'
import { parameterSpecs } from '../../gpu-node/src/model/parameters.ts'
import { copySideFiles, writeModelFolder } from '../../gpu-node/src/model/save.ts'
import { Random } from '../../gpu-node/src/random.ts'

const size = {
  hidden_size: 32,
  head_dim: 8,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
}

/** Writes it into `folder`, which is made where absent. */
export async function writeToyModel(folder: string): Promise<void> {
  const from = join(builtInModels, 'rankscope-mini')
  const builtIn = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8')) as object
  const config = parseConfig({ ...builtIn, ...size }, folder)
  const shapes = new Map(parameterSpecs(config).map(({ name, shape }) => [name, shape]))
  const random = new Random(7)
  const values = (name: string) => {
    const weights = new Float32Array(shapes.get(name)!.reduce((product, length) => product * length, 1))
    return name.endsWith('norm.weight') ? weights.fill(1) : random.fork(name).fillNormal(weights, 0, 0.1)
  }
  await writeModelFolder(folder, config, values, 'F32')
  copySideFiles(from, folder)
}
