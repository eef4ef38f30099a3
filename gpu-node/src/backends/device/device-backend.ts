/**
 * The TensorFlow.js backend over a build of rankscope.h: TensorFlow.js's own cpu backend, except that float32 results of
 * our kernels lie in memory of the device, which for `native` is memory of the C library.
 *
 * Data is in one of two places. On the host, as the cpu backend keeps it: a JavaScript array. Or on the device: a block
 * of DeviceMemory, and then `values` makes a fresh copy for whoever asks, so that no view of a block outlives it. Data
 * moves from the host to the device, once, when a kernel first needs it there.
 */
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu'
import type { DataType, TensorInfo } from '@tensorflow/tfjs-core'
import { env, registerBackend, util } from '@tensorflow/tfjs-core'
import { registerFusedKernels } from '../../ops/registry.ts'
import { registerUpdateKernels } from '../../ops/update.ts'
import type { Pointer } from './device-calls.ts'
import { createDeviceKernels } from './device-kernels.ts'
import type { DeviceLibrary } from './device-library.ts'
import { type Block, DeviceMemory, type MemoryUse } from './device-memory.ts'
import { registerTensorKernels } from './device-tensor-kernels.ts'
import { createDeviceUpdates } from './device-updates.ts'
import { NarrowCopies } from './narrow-copies.ts'

type DataId = TensorInfo['dataId']

/** Registers the library's kernels and the backend over them under the library's name. */
export function registerDeviceBackend(library: DeviceLibrary): DeviceBackend {
  env().set('PROD', true) // no banner that recommends other packages
  const backend = new DeviceBackend(library)
  registerBackend(library.name, () => backend)
  registerTensorKernels(library.name)
  registerFusedKernels(library.name, createDeviceKernels(backend))
  registerUpdateKernels(library.name, createDeviceUpdates(backend))
  return backend
}

/** float32 data on the device, in the shape of an entry of the cpu backend. */
class DeviceData {
  readonly dtype = 'float32'
  refCount: number
  readonly block: Block
  readonly count: number
  readonly #download: (data: DeviceData) => Float32Array

  constructor(block: Block, count: number, refCount: number, download: (data: DeviceData) => Float32Array) {
    this.#download = download
    this.block = block
    this.count = count
    this.refCount = refCount
  }

  /** A copy, made for kernels of the cpu backend and for readers. */
  get values(): Float32Array {
    return this.#download(this)
  }
}

export class DeviceBackend extends MathBackendCPU {
  readonly library: DeviceLibrary
  readonly #memory: DeviceMemory
  /** Null where bfloat16 operands are rounded beforehand. */
  readonly narrowCopies: NarrowCopies | null
  #nextId = 0
  #waits = 0

  constructor(library: DeviceLibrary) {
    super()
    this.library = library
    this.#memory = new DeviceMemory(library)
    const { narrow } = library
    this.narrowCopies = narrow
      ? new NarrowCopies(narrow, this.#memory, (tensor) => this.address(tensor))
      : null
    this.#memory.onShort = () => this.narrowCopies?.release()
  }

  /**
   * How often JavaScript has waited for the device to have values of it: a synchronous read, or a kernel of the cpu
   * backend in place of one that the device lacks. A training step must not.
   */
  get waits(): number {
    return this.#waits
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

  /** A float32 tensor with arbitrary contents on the device. */
  allocate(shape: readonly number[]): TensorInfo {
    const count = util.sizeFromShape(shape as number[])
    const dataId = { id: `device-${this.#nextId++}` }
    const block = this.#memory.take(count * Float32Array.BYTES_PER_ELEMENT)
    this.data.set(dataId, this.#dataIn(block, count, 1))
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
    this.library.copy(this.address(copy), from, util.sizeFromShape(tensor.shape) * 4)
    return copy
  }

  /** Address of a float32 tensor's data, moved there if it is not yet. */
  address(tensor: TensorInfo): bigint {
    const data = this.data.get(tensor.dataId)
    return data instanceof DeviceData ? data.block.address : this.#upload(tensor, data)
  }

  /** The address of a parameter that is about to be changed. */
  addressToChange(tensor: TensorInfo): bigint {
    this.narrowCopies?.drop(tensor.dataId)
    return this.address(tensor)
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
    return data instanceof DeviceData ? data.values : super.readSync(dataId)
  }

  /** Behind `Tensor.data()`: the values as they are now, without waiting for them. */
  override async read(dataId: DataId): Promise<ReturnType<MathBackendCPU['readSync']>> {
    const data = this.data.get(dataId)
    return data instanceof DeviceData
      ? this.library.downloadLater(data.block.address, data.count)
      : super.readSync(dataId)
  }

  override disposeData(dataId: DataId, force = false): boolean {
    if (!this.data.has(dataId)) return true
    const data = this.data.get(dataId)
    if (!(data instanceof DeviceData)) return super.disposeData(dataId, force)
    data.refCount -= 1
    if (!force && data.refCount > 0) return false
    this.narrowCopies?.drop(dataId)
    this.#memory.give(data.block)
    this.data.delete(dataId)
    return true
  }

  #upload(tensor: TensorInfo, host: { values?: unknown; dtype: DataType; refCount: number }): bigint {
    const { values } = host
    if (!(values instanceof Float32Array)) throw new Error(`expected float32 data, got ${tensor.dtype}`)
    const block = this.#memory.take(values.byteLength)
    if (values.byteLength > 0) this.library.upload(block.address, values, values.byteLength)
    this.data.set(tensor.dataId, this.#dataIn(block, values.length, host.refCount))
    return block.address
  }

  #dataIn(block: Block, count: number, refCount: number): DeviceData {
    return new DeviceData(block, count, refCount, (data) => this.#download(data))
  }

  #download({ block, count }: DeviceData): Float32Array {
    this.#waits += 1
    const copy = new Float32Array(count)
    if (count > 0) this.library.download(copy, block.address, copy.byteLength)
    return copy
  }
}
