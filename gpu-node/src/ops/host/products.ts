/**
 * Matrix products by a backend's matMul that may be fast only for two plain matrices (TensorFlow.js's wasm: 20 to 40
 * GFLOP/s, against 1 with a transposed operand or more than one slice): then transposed operands and slices are copied
 * first, which costs little beside the product.
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import { add, matMul, mul, reshape, tidy } from '@tensorflow/tfjs-core'
import { lowRankSum } from '../composed/linear.ts'
import type { FusedKernels } from '../kernels.ts'
import type { HostMemory } from './memory.ts'
import { hostPointwise } from './pointwise.ts'

/** A matrix, or one per slice, to be read with its last two axes swapped. */
export interface Transposed {
  readonly stored: Tensor
}

export function hostProducts(memory: HostMemory) {
  const drop = hostPointwise(memory).dropout
  return {
    matMul: ({ a, b }, { transposeA, transposeB, factor }) => {
      const left = transposeA ? transposed(memory, a) : a
      const y = product(memory, left, transposeB ? transposed(memory, b) : b)
      return factor === 1 ? y : mul(y, factor)
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
      const u = mul(product(memory, dys, transposed(memory, b)), scale)
      const da = product(memory, transposed(memory, xs), u)
      const t = mul(product(memory, xs, a), scale)
      const db = product(memory, transposed(memory, t), dys)
      return [da, db, reshape(u, [x.shape[0]!, a.shape[2]!])]
    },
  } satisfies Partial<FusedKernels<Tensor>>
}

/** a b for two matrices, or slice by slice for rank 3. */
export function product(memory: HostMemory, a: Tensor | Transposed, b: Tensor | Transposed): Tensor {
  const [left, right] = [stored(a), stored(b)]
  if (left.rank === 2 || memory.takesAnyLayout()) return matMul(left, right, 'stored' in a, 'stored' in b)
  return bySlices(memory, left, right)
}

const stored = (operand: Tensor | Transposed): Tensor => ('stored' in operand ? operand.stored : operand)

/** The operand of `product` that is t with its last two axes swapped; rank 2 or 3. */
export function transposed(memory: HostMemory, t: Tensor): Tensor | Transposed {
  return memory.takesAnyLayout() ? { stored: t } : transposedCopy(memory, t)
}

function bySlices({ allocate, floats }: HostMemory, a: Tensor, b: Tensor): Tensor {
  const slices = a.shape[0]!
  if (slices === 1) return matMul(a, b)
  const out = allocate([slices, a.shape[1]!, b.shape[2]!])
  const plain = (t: Tensor, index: number) => {
    const size = t.size / slices
    const copy = allocate(t.shape.slice(1))
    floats(copy).set(floats(t).subarray(index * size, (index + 1) * size))
    return copy
  }
  for (let i = 0; i < slices; i++)
    tidy(() => {
      const y = matMul(plain(a, i), plain(b, i))
      floats(out).set(floats(y), i * y.size)
    })
  return out
}

function transposedCopy({ allocate, floats }: HostMemory, t: Tensor): Tensor {
  const [rows, columns] = t.shape.slice(-2) as [number, number]
  const out = allocate([...t.shape.slice(0, -2), columns, rows])
  const [to, from] = [floats(out), floats(t)]
  const block = 32 // both blocks stay in the first-level cache
  for (let start = 0; start < from.length; start += rows * columns)
    for (let firstRow = 0; firstRow < rows; firstRow += block)
      for (let firstColumn = 0; firstColumn < columns; firstColumn += block) {
        const lastRow = Math.min(rows, firstRow + block)
        const lastColumn = Math.min(columns, firstColumn + block)
        for (let column = firstColumn; column < lastColumn; column++)
          for (let row = firstRow; row < lastRow; row++)
            to[start + column * rows + row] = from[start + row * columns + column]!
      }
  return out
}
