/** MoRA's map and its gradients: compression and expansion as loops over host memory. Shapes: ../kernels.ts. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { matMul, reshape } from '@tensorflow/tfjs-core'
import { moraBlocks } from '../../../ops/composed/mora.ts'
import type { FusedKernels, OperandPrecision } from '../../../ops/kernels.ts'
import type { HostMemory } from './memory.ts'
import { hostPointwise } from './pointwise.ts'
import { product, transposed } from './products.ts'

export function hostMora(memory: HostMemory) {
  const { rope, roundBfloat16 } = hostPointwise(memory)

  /** An operand of a product in the precision that is asked for. */
  const operand = (x: Tensor, dtype: OperandPrecision['operands']): Tensor =>
    dtype === 'bfloat16' ? roundBfloat16({ x }) : x

  /** to (zeros, or a copy of `start`) with to[i, c mod width] += from[i, c mod w] for all c < count. */
  function addWrapped(from: Tensor, width: number, count: number, start?: Tensor): Tensor {
    const [rows, w] = from.shape as [number, number]
    const out = memory.allocate([rows, width])
    const [to, values] = [memory.floats(out), memory.floats(from)]
    if (start) to.set(memory.floats(start))
    else to.fill(0)
    for (let row = 0; row < rows; row++)
      for (let c = 0, i = 0, j = 0; c < count; c++) {
        to[row * width + i]! += values[row * w + j]!
        if (++i === width) i = 0
        if (++j === w) j = 0
      }
    return out
  }

  function rotated(z: Tensor, blocks: number, cos: Tensor, sin: Tensor, inverse: boolean): Tensor {
    if (cos.shape[0] === 0) return z
    return rope({ x: z, cos, sin }, { sequence: blocks, heads: 1, headDim: z.shape[1]!, inverse })
  }

  /** Sizes that forward and backward share; `read` columns of x, repeated, make the blocks. */
  function sizes(inputs: number, outputs: number, size: number, cos: Tensor) {
    const blocks = moraBlocks(inputs, outputs, size, cos)
    const read = cos.shape[0] === 0 ? Math.ceil(inputs / size) * size : blocks * size
    return { blocks, width: blocks * size, read }
  }

  /** C(x) [N b, h] */
  function compressed(x: Tensor, size: number, outputs: number, cos: Tensor, sin: Tensor): Tensor {
    const { blocks, width, read } = sizes(x.shape[1]!, outputs, size, cos)
    const z = reshape(addWrapped(x, width, read), [x.shape[0]! * blocks, size])
    return rotated(z, blocks, cos, sin, false)
  }

  /** Dᵀ(dy) [N b, h] */
  function blockGradients(dy: Tensor, size: number, inputs: number, cos: Tensor): Tensor {
    const [rows, outputs] = dy.shape as [number, number]
    const { blocks, width } = sizes(inputs, outputs, size, cos)
    return reshape(addWrapped(dy, width, outputs), [rows * blocks, size])
  }

  return {
    moraMap: ({ x, square, cos, sin, sum }, { columns, operands }) => {
      const t = matMul(operand(compressed(x, square.shape[0]!, columns, cos, sin), operands), square)
      return addWrapped(reshape(t, [x.shape[0]!, -1]), columns, columns, sum)
    },

    moraInputGradient: ({ dy, square, cos, sin, sum }, { columns, operands }) => {
      const [rows, outputs] = dy.shape as [number, number]
      const size = square.shape[0]!
      const { blocks, width, read } = sizes(columns, outputs, size, cos)
      const u = operand(blockGradients(dy, size, columns, cos), operands)
      const dz = product(memory, u, transposed(memory, square))
      return addWrapped(reshape(rotated(dz, blocks, cos, sin, true), [rows, width]), columns, read, sum)
    },

    moraSquareGradient: ({ x, dy, cos, sin }, { size, operands }) => {
      const z = operand(compressed(x, size, dy.shape[1]!, cos, sin), operands)
      const u = operand(blockGradients(dy, size, x.shape[1]!, cos), operands)
      return product(memory, transposed(memory, z), u)
    },
  } satisfies Partial<FusedKernels<Tensor>>
}
