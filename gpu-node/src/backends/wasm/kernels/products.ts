/**
 * Matrix products by a backend's matMul that may be fast only for two plain matrices (TensorFlow.js's wasm: 20 to 40
 * GFLOP/s, against 1 with a transposed operand or more than one slice): then transposed operands are copied first and
 * slices multiplied one by one, which costs little beside the product.
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import { add, matMul, mul, reshape } from '@tensorflow/tfjs-core'
import { lowRankSum } from '../../../ops/composed/linear.ts'
import type { FusedKernels } from '../../../ops/kernels.ts'
import { type HostMemory, matrixOf } from './memory.ts'
import { hostPointwise } from './pointwise.ts'
import { transposeInto } from './transpose.ts'

/** A matrix, or one per slice, to be read with its last two axes swapped. */
export interface Transposed {
  readonly stored: Tensor
}

export function hostProducts(memory: HostMemory) {
  const drop = hostPointwise(memory).dropout
  return {
    matMul: ({ a, b }, { transposeA, transposeB, factor }) => {
      const left = transposeA ? transposed(memory, a) : a
      return scaled(product(memory, left, transposeB ? transposed(memory, b) : b), factor)
    },

    lowRankLinear: (inputs, { scale, dropout }) => {
      const { x } = inputs
      return lowRankSum(inputs, scale, dropout ? drop({ x }, dropout) : x)
    },

    linearInputGradient: ({ dy, w, dt, a, sum }, { dropout } = {}) => {
      const fromWeight = product(memory, dy, transposed(memory, w))
      const fromAdapter = dt && a && product(memory, dt, transposed(memory, a))
      const kept = fromAdapter && dropout ? drop({ x: fromAdapter }, dropout) : fromAdapter
      const dx = kept ? add(fromWeight, kept) : fromWeight
      return sum ? add(dx, sum) : dx
    },

    adapterGradients: ({ x, dy, a, b }, { scale }) => {
      const devices = a.shape[0]!
      const perDevice = (t: Tensor) => reshape(t, [devices, t.shape[0]! / devices, t.shape[1]!])
      const [xs, dys] = [perDevice(x), perDevice(dy)]
      const u = scaled(product(memory, dys, transposed(memory, b)), scale)
      const da = product(memory, transposed(memory, xs), u)
      const t = scaled(product(memory, xs, a), scale)
      return [da, transposedProduct(memory, t, dys), reshape(u, [x.shape[0]!, a.shape[2]!])]
    },
  } satisfies Partial<FusedKernels<Tensor>>
}

const scaled = (t: Tensor, factor: number): Tensor => (factor === 1 ? t : mul(t, factor))

/** a b for two matrices, or slice by slice for rank 3. */
export function product(memory: HostMemory, a: Tensor | Transposed, b: Tensor | Transposed): Tensor {
  const [left, right] = [stored(a), stored(b)]
  if (memory.takesAnyLayout()) return matMul(left, right, 'stored' in a, 'stored' in b)
  return left.rank === 2 ? memory.multiply(matrixOf(left), matrixOf(right)) : bySlices(memory, left, right)
}

/**
 * narrowᵀ wide. A module that rearranges the right operand of a product takes longer for that than a transposition
 * does, so it gets the narrow one there: (wideᵀ narrow)ᵀ.
 */
function transposedProduct(memory: HostMemory, narrow: Tensor, wide: Tensor): Tensor {
  if (memory.takesAnyLayout()) return product(memory, { stored: narrow }, wide)
  return transposedCopy(memory, bySlices(memory, transposedCopy(memory, wide), narrow))
}

const stored = (operand: Tensor | Transposed): Tensor => ('stored' in operand ? operand.stored : operand)

/** The operand of `product` that is t with its last two axes swapped; rank 2 or 3. */
export function transposed(memory: HostMemory, t: Tensor): Tensor | Transposed {
  return memory.takesAnyLayout() ? { stored: t } : transposedCopy(memory, t)
}

function bySlices(memory: HostMemory, a: Tensor, b: Tensor): Tensor {
  const slices = a.shape[0]!
  const out = memory.allocate([slices, a.shape[1]!, b.shape[2]!])
  for (let i = 0; i < slices; i++) {
    const y = memory.multiply(matrixOf(a, i), matrixOf(b, i))
    memory.floats(out).set(memory.floats(y), i * y.size)
    y.dispose()
  }
  return out
}

function transposedCopy({ allocate, floats }: HostMemory, t: Tensor): Tensor {
  const [rows, columns] = t.shape.slice(-2) as [number, number]
  const out = allocate([...t.shape.slice(0, -2), columns, rows])
  const [from, to] = [floats(t), floats(out)]
  for (let start = 0; start < from.length; start += rows * columns)
    transposeInto(
      { values: from, start, stride: columns },
      { values: to, start, stride: rows },
      rows,
      columns,
    )
  return out
}
