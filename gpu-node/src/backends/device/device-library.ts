/**
 * What the device backend needs of a build of rankscope.h. `native` keeps tensors in memory of the host; a build for a
 * GPU keeps them there, and its calls return before the device has done the work.
 *
 * Floats are addresses of the device. int32 arrays (token ids, rows, keys) stay on the host: a call checks them and has
 * copied them when it returns.
 */
import type { DeviceCalls } from './device-calls.ts'
import type { NarrowLibrary } from './narrow-copies.ts'

export interface DeviceLibrary extends DeviceCalls {
  readonly name: 'native' | 'cuda'
  /** For a person and for the run's record, e.g. `NVIDIA H200 (9.0), CUDA driver 13.0, cuBLAS 13.1.1`. */
  readonly description: string
  /** 64-byte aligned memory; throws OUT_OF_MEMORY with the bytes wanted. */
  allocate(bytes: number): bigint
  /** False: each tensor gets memory of exactly its size and gives it back at once (how an emulation finds mistakes). */
  readonly pooled: boolean
  /** Where the build multiplies bfloat16 and TF32 itself; others have bfloat16 operands rounded beforehand. */
  readonly narrow?: NarrowLibrary
  /**
   * Registers who is asked for memory back where the device has none left, each time before it is tried once more; it
   * says whether it had any.
   */
  whenShort?(giveBack: () => boolean): void
  /** Logits that exist at once in the loss, in elements: what keeps a product efficient, and no more. */
  readonly logitsAtOnce: number
  /** Floats at `from` as they are after all that was asked for so far, once the device got there; JavaScript goes on. */
  downloadLater(from: bigint, count: number): Promise<Float32Array>
  /** Of all elements of all arrays, in float64; the device is asked once and not waited for. */
  sumOfSquares(addresses: BigInt64Array, sizes: BigInt64Array): Promise<number>
}
