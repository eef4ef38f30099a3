/** MoRA's map and its gradients composed of TensorFlow.js ops. Shapes: ../kernels.ts. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { add, concat, matMul, pad, reshape, slice, sum as sumOf } from '@tensorflow/tfjs-core'
import type { FusedKernels, OperandPrecision } from '../kernels.ts'
import { composedBfloat16 } from './bfloat16.ts'
import { composedPointwise } from './linear.ts'

export const composedMora = {
  moraMap: ({ x, square, cos, sin, sum }, { columns, operands }) => {
    const z = operand(compressed(x, square.shape[0]!, columns, { cos, sin }), operands)
    const t = reshape(matMul(z, square), [x.shape[0]!, -1])
    const y = repeated(t, columns)
    return sum ? add(sum, y) : y
  },

  moraInputGradient: ({ dy, square, cos, sin, sum }, { columns, operands }) => {
    const size = square.shape[0]!
    const u = operand(blockGradients(dy, size, columns, cos), operands)
    const dz = matMul(u, square, false, true)
    const dx = compressedGradient(dz, dy.shape[0]!, columns, { cos, sin })
    return sum ? add(sum, dx) : dx
  },

  moraSquareGradient: ({ x, dy, cos, sin }, { size, operands }) => {
    const z = operand(compressed(x, size, dy.shape[1]!, { cos, sin }), operands)
    return matMul(z, operand(blockGradients(dy, size, x.shape[1]!, cos), operands), true, false)
  },
} satisfies Partial<FusedKernels<Tensor>>

/** An operand of a product in the precision that is asked for. */
function operand(x: Tensor, dtype: OperandPrecision['operands']): Tensor {
  return dtype === 'bfloat16' ? composedBfloat16.roundBfloat16({ x }) : x
}

interface Tables {
  readonly cos: Tensor
  readonly sin: Tensor
}

/** Blocks of a row that reach an output: one sum of all, or as many as both sides have. */
export function moraBlocks(inputs: number, outputs: number, size: number, cos: { shape: number[] }): number {
  return cos.shape[0] === 0 ? 1 : Math.min(Math.ceil(inputs / size), Math.ceil(outputs / size))
}

/** C(x) [N b, h] */
function compressed(x: Tensor, size: number, outputs: number, tables: Tables): Tensor {
  const [rows, inputs] = x.shape as [number, number]
  if (tables.cos.shape[0] === 0) return added(repeated(x, Math.ceil(inputs / size) * size), size)
  const blocks = moraBlocks(inputs, outputs, size, tables.cos)
  return rotated(reshape(repeated(x, blocks * size), [rows * blocks, size]), blocks, tables, false)
}

/** Cᵀ(dz) [N, m] */
function compressedGradient(dz: Tensor, rows: number, inputs: number, tables: Tables): Tensor {
  const size = dz.shape[1]!
  if (tables.cos.shape[0] === 0) return added(repeated(dz, Math.ceil(inputs / size) * size), inputs)
  const blocks = dz.shape[0]! / rows
  return added(reshape(rotated(dz, blocks, tables, true), [rows, blocks * size]), inputs)
}

/** Dᵀ(dy) [N b, h] */
function blockGradients(dy: Tensor, size: number, inputs: number, cos: Tensor): Tensor {
  const [rows, outputs] = dy.shape as [number, number]
  const blocks = moraBlocks(inputs, outputs, size, cos)
  return reshape(added(dy, blocks * size), [rows * blocks, size])
}

function rotated(z: Tensor, blocks: number, { cos, sin }: Tables, inverse: boolean): Tensor {
  const shape = { sequence: blocks, heads: 1, headDim: z.shape[1]!, inverse }
  return composedPointwise.rope({ x: z, cos, sin }, shape)
}

/** [N, w] → [N, width], column j from column j mod w. */
function repeated(x: Tensor, width: number): Tensor {
  const [rows, from] = x.shape as [number, number]
  const whole = Math.floor(width / from)
  const rest = width - whole * from
  const parts: Tensor[] = Array(whole).fill(x)
  if (rest > 0) parts.push(slice(x, [0, 0], [rows, rest]))
  return parts.length === 1 ? parts[0]! : concat(parts, 1)
}

/** [N, w] → [N, width], column j the sum of all that are j modulo width: the transpose of `repeated`. */
function added(x: Tensor, width: number): Tensor {
  const [rows, from] = x.shape as [number, number]
  const blocks = Math.ceil(from / width)
  const filled = pad(x, [
    [0, 0],
    [0, blocks * width - from],
  ])
  return blocks === 1 ? filled : sumOf(reshape(filled, [rows, blocks, width]), 1)
}
