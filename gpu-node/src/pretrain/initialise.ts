/** Random weights for a model that is trained from scratch. */
import type { LlamaConfig } from '../model/config.ts'
import { parameterSpecs } from '../model/parameters.ts'
import { Random } from '../random.ts'

/**
 * Values by tensor name, in the shapes of `parameterSpecs`: norms 1, biases 0, everything else normal with standard
 * deviation 0.02, and 0.02 / √(2 layers) for the two matrices of a block that write to the residual stream (GPT-2).
 */
export function initialWeights(config: LlamaConfig, seed: number): Map<string, Float32Array> {
  const random = new Random(seed)
  const residualScale = 1 / Math.sqrt(2 * config.layers)
  return new Map(
    parameterSpecs(config).map(({ name, shape }) => {
      const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
      if (name.endsWith('norm.weight')) return [name, values.fill(1)]
      if (name.endsWith('.bias')) return [name, values]
      const writesResidual = /\.(o_proj|down_proj)\.weight$/.test(name)
      return [name, random.fork(name).fillNormal(values, 0, 0.02 * (writesResidual ? residualScale : 1))]
    }),
  )
}
