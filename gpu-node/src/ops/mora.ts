/**
 * MoRA's map D(C(x) M) (Jiang et al. 2024, arXiv 2405.12130): a square matrix M [h, h] between a compression C of x [N, m]
 * and an expansion D to [N, n]; both are linear and have no parameters. ./kernels.ts defines them.
 */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { clone, tensor2d } from '@tensorflow/tfjs-core'
import { addingToSum, assertShape, registerFusedGradient } from './register.ts'
import { runFused } from './registry.ts'

/** cos and sin [p, h/2] of the angles by which the p = ⌈m/h⌉ blocks of x are rotated. */
export interface RotationTables {
  readonly cos: Tensor
  readonly sin: Tensor
}

interface MoraOptions {
  /** n */
  readonly columns: number
  /** Absent: the blocks are added up (type 1) instead of being rotated (type 6). */
  readonly tables?: RotationTables | undefined
  /** [N, n], which the map is added to; the caller gives it up: its values may be written over. */
  readonly sum?: Tensor
}

export function moraMap(x: Tensor, square: Tensor, { columns, tables, sum }: MoraOptions): Tensor2D {
  const [rows, inputs] = x.shape as [number, number]
  const size = square.shape[0]!
  const { cos, sin } = tables ?? { cos: noTable(), sin: noTable() }
  const tablesFit = !tables || (size % 2 === 0 && cos.shape[0] === Math.ceil(inputs / size))
  const sumFits = !sum || (sum.shape[0] === rows && sum.shape[1] === columns)
  assertShape(x.rank === 2 && square.shape[1] === size && tablesFit && sumFits, 'moraMap', x, square, cos)
  return runFused('moraMap', { x, square, cos, sin, ...(sum && { sum }) }, { columns }) as Tensor2D
}

const noTable = () => tensor2d([], [0, 0])

registerFusedGradient('moraMap', {
  saveInputs: ['x', 'square', 'cos', 'sin'],
  gradient: (dy, [x, square, cos, sin]) => {
    const tables = { cos: cos!, sin: sin! }
    return {
      x: addingToSum((sum) =>
        runFused(
          'moraInputGradient',
          { dy, square: square!, ...tables, ...(sum && { sum }) },
          { columns: x!.shape[1]! },
        ),
      ),
      square: () => runFused('moraSquareGradient', { x: x!, dy, ...tables }, { size: square!.shape[0]! }),
      sum: () => clone(dy),
    }
  },
})
