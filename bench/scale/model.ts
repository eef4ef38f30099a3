/** A random Llama in bfloat16 and shards, as a checkpoint of real size comes. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig } from '../../gpu-node/src/model/config.ts'
import { parameterSpecs } from '../../gpu-node/src/model/parameters.ts'
import { writeSafetensors } from '../../gpu-node/src/model/safetensors.ts'
import { Random } from '../../gpu-node/src/random.ts'

/** What one run took. */
export interface ScaleRun {
  /** Seconds from the beginning of each phase to that of the next; of those that came several times the sum. */
  readonly phases: Readonly<Record<string, number>>
  readonly stepSeconds: number
  readonly peakGib: number
  readonly estimateGib: number
}

const shardBytes = 2 ** 30

/** With 22 layers TinyLlama’s shape: 1.1 billion parameters. */
export async function makeModel(folder: string, layers: number): Promise<void> {
  const stated = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: layers,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    vocab_size: 32_000,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    torch_dtype: 'bfloat16',
    bos_token_id: 1,
    eos_token_id: 2,
    tie_word_embeddings: false,
  }
  const random = new Random(7)
  const shards: { bytes: number; tensors: Parameters<typeof writeSafetensors>[1][number][] }[] = []
  for (const spec of parameterSpecs(parseConfig(stated, 'config.json'))) {
    const shape = spec.transposed ? [...spec.shape].reverse() : [...spec.shape]
    const count = shape.reduce((product, size) => product * size, 1)
    const make = () => {
      const values = new Float32Array(count)
      return spec.name.endsWith('norm.weight')
        ? values.fill(1)
        : random.fork(spec.name).fillNormal(values, 0, 0.02)
    }
    const last = shards.at(-1)
    const shard = last && last.bytes + 2 * count <= shardBytes ? last : { bytes: 0, tensors: [] }
    if (shard !== last) shards.push(shard)
    shard.bytes += 2 * count
    shard.tensors.push({ name: spec.name, shape, dtype: 'BF16', values: make })
  }
  const weightMap: Record<string, string> = {}
  for (const [index, { tensors }] of shards.entries()) {
    const number = (value: number) => String(value).padStart(5, '0')
    const file = `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`
    await writeSafetensors(join(folder, file), tensors)
    for (const { name } of tensors) weightMap[name] = file
  }
  const total = shards.reduce((sum, { bytes }) => sum + bytes, 0)
  writeFileSync(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({ metadata: { total_size: total }, weight_map: weightMap }),
  )
  // Last: a folder with it is whole.
  writeFileSync(join(folder, 'config.json'), JSON.stringify(stated))
}
