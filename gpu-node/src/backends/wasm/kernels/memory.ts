/**
 * What the host kernels need from a backend whose tensors lie in memory that JavaScript can address: the heap of a
 * WebAssembly module.
 */
import type { Tensor } from '@tensorflow/tfjs-core'

/** A matrix among the values of a tensor: row after row, from `start` on. */
export interface Matrix {
  readonly tensor: Tensor
  readonly start: number
  readonly rows: number
  readonly columns: number
}

export interface HostMemory {
  /** A tensor with undefined content, float32. May move the heap: take views after the last allocation. */
  allocate(shape: readonly number[]): Tensor
  /** The values of a float32 tensor, valid until the next allocation. */
  floats(tensor: Tensor): Float32Array
  /** To be called after values were written to a tensor that products may have seen: the backend may cache it. */
  changed(tensor: Tensor): void
  /** The values of an int32 tensor, valid until the next allocation. */
  integers(tensor: Tensor): Int32Array
  /**
   * a b by the backend's matMul, without copying either: a tensor of its own. What the backend makes of a right operand
   * to be faster the next time is kept only where that is a whole tensor.
   */
  multiply(a: Matrix, b: Matrix): Tensor
  /** Whether the backend's matMul is as fast for transposed operands and slices as for two plain matrices. */
  takesAnyLayout(): boolean
}

/** A tensor of rank 2 as a matrix, or one slice of a tensor of rank 3. */
export function matrixOf(tensor: Tensor, slice = 0): Matrix {
  const [rows, columns] = tensor.shape.slice(-2) as [number, number]
  return { tensor, start: slice * rows * columns, rows, columns }
}
