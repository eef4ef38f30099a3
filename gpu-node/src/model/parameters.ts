/**
 * The tensors of a Llama model: their Hugging Face names, and their shapes here and on disk.
 *
 * Here a linear weight is W [in, out] and Y = X W, as in the papers; on disk it is the transpose [out, in].
 * Embedding and head are [V, D] in both.
 */
import type { LlamaConfig } from './config.ts'

export interface ParameterSpec {
  /** Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string
  /** Shape in memory. */
  readonly shape: readonly number[]
  /** The file holds the transpose. */
  readonly transposed: boolean
}

export const embeddingName = 'model.embed_tokens.weight'
export const headName = 'lm_head.weight'
export const finalNormName = 'model.norm.weight'
const queryKeyNormNames = ['q_norm', 'k_norm']

/** The linear layers of a block in forward order, with the path under `model.layers.<i>.`. */
export const linearPaths = {
  q_proj: 'self_attn.q_proj',
  k_proj: 'self_attn.k_proj',
  v_proj: 'self_attn.v_proj',
  o_proj: 'self_attn.o_proj',
  gate_proj: 'mlp.gate_proj',
  up_proj: 'mlp.up_proj',
  down_proj: 'mlp.down_proj',
} as const
export type LinearName = keyof typeof linearPaths
export const linearNames = Object.keys(linearPaths) as LinearName[]

/** Module path of a linear layer, e.g. `model.layers.0.self_attn.q_proj`. */
export function modulePath(layer: number, linear: LinearName): string {
  return `model.layers.${layer}.${linearPaths[linear]}`
}

/** Paths of the given linear layers in every block, in forward order. */
export function targetModulePaths(
  config: Pick<LlamaConfig, 'layers'>,
  targets: readonly LinearName[],
): string[] {
  const wanted = linearNames.filter((name) => targets.includes(name))
  return Array.from({ length: config.layers }, (_, layer) =>
    wanted.map((name) => modulePath(layer, name)),
  ).flat()
}

/** [in, out] of a linear layer. */
export function linearShape(config: LlamaConfig, linear: LinearName): [inputs: number, outputs: number] {
  const { hiddenSize, intermediateSize, headDim } = config
  const queryWidth = config.heads * headDim
  const keyValueWidth = config.keyValueHeads * headDim
  switch (linear) {
    case 'q_proj':
      return [hiddenSize, queryWidth]
    case 'k_proj':
    case 'v_proj':
      return [hiddenSize, keyValueWidth]
    case 'o_proj':
      return [queryWidth, hiddenSize]
    case 'gate_proj':
    case 'up_proj':
      return [hiddenSize, intermediateSize]
    case 'down_proj':
      return [intermediateSize, hiddenSize]
  }
}

/** Every tensor of the model. With tied embeddings there is no head: the embedding serves as one. */
export function parameterSpecs(config: LlamaConfig): ParameterSpec[] {
  const { hiddenSize, vocabularySize } = config
  const whole = (name: string, shape: readonly number[]): ParameterSpec => ({
    name,
    shape,
    transposed: false,
  })
  const specs = [whole(embeddingName, [vocabularySize, hiddenSize])]
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`
    specs.push(whole(`${prefix}.input_layernorm.weight`, [hiddenSize]))
    for (const linear of linearNames) {
      const module = modulePath(layer, linear)
      const shape = linearShape(config, linear)
      specs.push({ name: `${module}.weight`, shape, transposed: true })
      if (hasBias(config, linear)) specs.push(whole(`${module}.bias`, [shape[1]]))
    }
    if (config.queryKeyNorm)
      for (const norm of queryKeyNormNames)
        specs.push(whole(`${prefix}.self_attn.${norm}.weight`, [config.headDim]))
    specs.push(whole(`${prefix}.post_attention_layernorm.weight`, [hiddenSize]))
  }
  specs.push(whole(finalNormName, [hiddenSize]))
  if (!config.tiedEmbeddings) specs.push(whole(headName, [vocabularySize, hiddenSize]))
  return specs
}

function hasBias(config: LlamaConfig, linear: LinearName): boolean {
  switch (linear) {
    case 'q_proj':
    case 'k_proj':
    case 'v_proj':
      return config.queryKeyValueBias
    case 'o_proj':
      return config.outputBias
    default:
      return config.mlpBias
  }
}

export function parameterCount(config: LlamaConfig): number {
  return parameterSpecs(config).reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  )
}

/** The transpose of a row-major [rows, columns] matrix, in blocks that fit the cache. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length)
  const block = 32
  for (let rowStart = 0; rowStart < rows; rowStart += block) {
    const rowEnd = Math.min(rowStart + block, rows)
    for (let columnStart = 0; columnStart < columns; columnStart += block) {
      const columnEnd = Math.min(columnStart + block, columns)
      for (let row = rowStart; row < rowEnd; row++)
        for (let column = columnStart; column < columnEnd; column++)
          result[column * rows + row] = values[row * columns + column] as number
    }
  }
  return result
}
