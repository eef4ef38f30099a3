/**
 * What the host kernels need from a backend whose tensors lie in memory that JavaScript can address: the heap of a
 * WebAssembly module.
 */
import type { Tensor } from '@tensorflow/tfjs-core'

export interface HostMemory {
  /** A tensor with undefined content, float32. May move the heap: take views after the last allocation. */
  allocate(shape: readonly number[]): Tensor
  /** The values of a float32 tensor, valid until the next allocation. */
  floats(tensor: Tensor): Float32Array
  /** To be called after values were written to a tensor that products may have seen: the backend may cache it. */
  changed(tensor: Tensor): void
  /** The values of an int32 tensor, valid until the next allocation. */
  integers(tensor: Tensor): Int32Array
  /** Whether the backend's matMul is as fast for transposed operands and slices as for two plain matrices. */
  takesAnyLayout(): boolean
}
