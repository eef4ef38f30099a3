/**
 * The TensorFlow.js backend over the native kernels: TensorFlow.js's own cpu backend, except that float32 results of
 * native kernels lie in memory of the C library.
 *
 * Data is in one of two places. On the host, as the cpu backend keeps it: a JavaScript array. Or native: a block of
 * NativeMemory, and then `values` makes a fresh copy for whoever asks, so that no view of a block outlives it. Data
 * moves from the host to native memory, once, when a native kernel first needs it.
 */
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu'
import type { DataType, TensorInfo } from '@tensorflow/tfjs-core'
import { util } from '@tensorflow/tfjs-core'
import type { NativeLibrary, Pointer } from '../native/native-library.ts'
import { type Block, type MemoryUse, NativeMemory } from './device-memory.ts'

type DataId = TensorInfo['dataId']

/** float32 data in native memory, in the shape of an entry of the cpu backend. */
class NativeData {
  readonly dtype = 'float32'
  refCount: number
  readonly block: Block
  readonly count: number
  readonly #library: NativeLibrary

  constructor(library: NativeLibrary, block: Block, count: number, refCount: number) {
    this.#library = library
    this.block = block
    this.count = count
    this.refCount = refCount
  }

  /** A copy, made for kernels of the cpu backend and for readers. */
  get values(): Float32Array {
    const copy = new Float32Array(this.count)
    if (this.count > 0) this.#library.copy_bytes(copy, this.block.address, copy.byteLength)
    return copy
  }
}

export class NativeBackend extends MathBackendCPU {
  readonly library: NativeLibrary
  readonly #memory: NativeMemory
  #nextNativeId = 0

  constructor(library: NativeLibrary) {
    super()
    this.library = library
    this.#memory = new NativeMemory(library)
  }

  get memoryUse(): Readonly<MemoryUse> {
    return this.#memory.use
  }

  resetPeakMemory(): void {
    this.#memory.resetPeak()
  }

  releaseIdleMemory(): void {
    this.#memory.releaseIdle()
  }

  /** A float32 tensor with arbitrary contents in native memory. */
  allocate(shape: readonly number[]): TensorInfo {
    const count = util.sizeFromShape(shape as number[])
    const dataId = { id: `native-${this.#nextNativeId++}` }
    const block = this.#memory.take(count * Float32Array.BYTES_PER_ELEMENT)
    this.data.set(dataId, new NativeData(this.library, block, count, 1))
    return { dataId, shape: shape as number[], dtype: 'float32' }
  }

  /** The same data under another shape; it lives until both are disposed of. */
  share(tensor: TensorInfo, shape = tensor.shape): TensorInfo {
    this.incRef(tensor.dataId)
    return { dataId: tensor.dataId, shape, dtype: tensor.dtype }
  }

  /** A tensor that starts with the values of one which the caller gives up: the same memory unless it is shared. */
  takeOver(tensor: TensorInfo): TensorInfo {
    const from = this.address(tensor)
    if (this.refCount(tensor.dataId) === 1) return this.share(tensor)
    const copy = this.allocate(tensor.shape)
    this.library.copy_bytes(this.address(copy), from, util.sizeFromShape(tensor.shape) * 4)
    return copy
  }

  /** Address of a float32 tensor's data, moved into native memory if it is not there yet. */
  address(tensor: TensorInfo): bigint {
    const data = this.data.get(tensor.dataId)
    return data instanceof NativeData ? data.block.address : this.#upload(tensor, data)
  }

  /** The values of an int32 tensor; integers stay on the host. */
  integers(tensor: TensorInfo): Pointer {
    const { values } = this.data.get(tensor.dataId)
    if (!(values instanceof Int32Array)) throw new Error(`expected int32 data, got ${tensor.dtype}`)
    return values
  }

  /** Scratch memory for the length of one call. */
  withScratch(count: number, use: (scratch: bigint) => void): void {
    const block = this.#memory.take(count * Float32Array.BYTES_PER_ELEMENT)
    try {
      use(block.address)
    } finally {
      this.#memory.give(block)
    }
  }

  override memory(): { unreliable: boolean; reasons: string[] } & MemoryUse {
    return { unreliable: false, reasons: [], ...this.#memory.use }
  }

  override readSync(dataId: DataId): ReturnType<MathBackendCPU['readSync']> {
    const data = this.data.get(dataId)
    return data instanceof NativeData ? data.values : super.readSync(dataId)
  }

  override disposeData(dataId: DataId, force = false): boolean {
    if (!this.data.has(dataId)) return true
    const data = this.data.get(dataId)
    if (!(data instanceof NativeData)) return super.disposeData(dataId, force)
    data.refCount -= 1
    if (!force && data.refCount > 0) return false
    this.#memory.give(data.block)
    this.data.delete(dataId)
    return true
  }

  #upload(tensor: TensorInfo, host: { values?: unknown; dtype: DataType; refCount: number }): bigint {
    const { values } = host
    if (!(values instanceof Float32Array)) throw new Error(`expected float32 data, got ${tensor.dtype}`)
    const block = this.#memory.take(values.byteLength)
    if (values.byteLength > 0) this.library.copy_bytes(block.address, values, values.byteLength)
    this.data.set(tensor.dataId, new NativeData(this.library, block, values.length, host.refCount))
    return block.address
  }
}
