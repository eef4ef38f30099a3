/**
 * The matrices of attention, one key-value head of one sequence after the other: its rows are copied out of
 * [B*S, heads*hd] into a scratch of their own, small enough for a processor's cache, and results back.
 * With R = H/G query heads per key-value head, queries are [R*S, hd], keys and values [S, hd].
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import type { AttentionShape } from '../../../ops/kernels.ts'
import type { HostMemory, Matrix } from './memory.ts'
import { copyInto, type Strided, transposeInto } from './transpose.ts'

/** Key-value head `group` of sequence `batch`. */
export interface Place {
  readonly batch: number
  readonly group: number
}

export function* places({ batch: sequences, keyValueHeads }: AttentionShape): Generator<Place> {
  for (let batch = 0; batch < sequences; batch++)
    for (let group = 0; group < keyValueHeads; group++) yield { batch, group }
}

/** Matrices of given rows and columns side by side in one tensor, which the caller's scope disposes of. */
export function scratch<Name extends string>(
  { allocate }: HostMemory,
  sizes: Record<Name, readonly [rows: number, columns: number]>,
): Record<Name, Matrix> {
  const named = Object.entries(sizes) as [Name, readonly [number, number]][]
  const tensor = allocate([named.reduce((sum, [, [rows, columns]]) => sum + rows * columns, 0)])
  let start = 0
  const matrices = named.map(([name, [rows, columns]]): [Name, Matrix] => {
    const matrix = { tensor, start, rows, columns }
    start += rows * columns
    return [name, matrix]
  })
  return Object.fromEntries(matrices) as Record<Name, Matrix>
}

/** Copies between t [B*S, X*hd] and matrices [(X/G)*S, hd] of one place, for X = H or G heads. */
export class Heads {
  readonly #memory: HostMemory
  readonly #shape: AttentionShape

  constructor(memory: HostMemory, shape: AttentionShape) {
    this.#memory = memory
    this.#shape = shape
  }

  gather(t: Tensor, place: Place, into: Matrix): void {
    this.#each(t, place, into, (apart, head, rows, columns) => copyInto(apart, head, rows, columns))
  }

  /** `into` is [hd, S], for a single head per place. */
  gatherTransposed(t: Tensor, place: Place, into: Matrix): void {
    this.#each(t, place, into, (apart, head, rows, columns) => transposeInto(apart, head, rows, columns))
  }

  scatter(matrix: Matrix, t: Tensor, place: Place): void {
    this.#each(t, place, matrix, (apart, head, rows, columns) => copyInto(head, apart, rows, columns))
  }

  /** Calls `move` for each head: its rows in t, its rows in the matrix, and their size. */
  #each(
    t: Tensor,
    { batch, group }: Place,
    matrix: Matrix,
    move: (apart: Strided, head: Strided, rows: number, columns: number) => void,
  ): void {
    const { sequence, keyValueHeads, headDim } = this.#shape
    const { floats } = this.#memory
    const stride = t.shape[1]!
    const perPlace = stride / headDim / keyValueHeads
    const [values, inMatrix] = [floats(t), floats(matrix.tensor)]
    for (let head = 0; head < perPlace; head++) {
      const start = batch * sequence * stride + (group * perPlace + head) * headDim
      const own = matrix.start + head * sequence * headDim
      const [apart, together] = [
        { values, start, stride },
        { values: inMatrix, start: own, stride: matrix.columns },
      ]
      move(apart, together, sequence, headDim)
    }
  }
}
