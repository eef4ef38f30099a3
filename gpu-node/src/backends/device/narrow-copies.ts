/**
 * bfloat16 copies of weights, beside the float32 that are trained: made when a product first needs one, so that a weight
 * is rounded once after each change and not once for each product.
 *
 * A copy is memory that could be had back: where the device has none left all of them go, and products round their
 * operands themselves from then on, which is slower and the same in every bit.
 */
import type { DataId, TensorInfo } from '@tensorflow/tfjs-core'
import type { KernelName } from '../../ops/kernels.ts'
import type { Block, DeviceMemory } from './device-memory.ts'

/** Inputs that are weights of the model: the same in each pass over them. Adapters are small. */
export const repeatedOperands: Partial<Record<KernelName, readonly string[]>> = {
  linear: ['w'],
  mutedLinear: ['w'],
  lowRankLinear: ['w'],
  linearInputGradient: ['w'],
  crossEntropy: ['head'],
}

/** What a build of the kernels has for it (kernels/cuda/host/narrow.c). */
export interface NarrowLibrary {
  /** Rounds `count` floats into the copy, which products take in their place until they are forgotten. */
  keep(floats: bigint, count: number, copy: bigint): void
  forget(floats: bigint): void
}

interface Copy {
  readonly block: Block
  readonly address: bigint
}

export class NarrowCopies {
  readonly #library: NarrowLibrary
  readonly #memory: DeviceMemory
  readonly #address: (tensor: TensorInfo) => bigint
  /** What lives as long as a model; anything else is multiplied once or twice. */
  readonly #lasting = new WeakSet<DataId>()
  readonly #kept = new Map<DataId, Copy>()
  #isShort = false

  constructor(library: NarrowLibrary, memory: DeviceMemory, address: (tensor: TensorInfo) => bigint) {
    this.#library = library
    this.#memory = memory
    this.#address = address
  }

  /** Bytes that copies take. */
  get bytes(): number {
    return [...this.#kept.values()].reduce((sum, { block }) => sum + block.bytes, 0)
  }

  /** A parameter was made. */
  lasts(dataId: DataId): void {
    this.#lasting.add(dataId)
  }

  /** Products of this weight are to take a copy. */
  keep(weight: TensorInfo | undefined): void {
    if (!weight || this.#isShort || !this.#lasting.has(weight.dataId) || this.#kept.has(weight.dataId)) return
    const count = weight.shape.reduce((size, length) => size * length, 1)
    const address = this.#address(weight)
    const block = this.#memory.take(2 * count)
    if (this.#isShort) {
      this.#memory.give(block)
      return
    }
    this.#library.keep(address, count, block.address)
    this.#kept.set(weight.dataId, { block, address })
  }

  /** The weight has changed, or is gone. */
  drop(dataId: DataId): void {
    const copy = this.#kept.get(dataId)
    if (!copy) return
    this.#library.forget(copy.address)
    this.#memory.give(copy.block)
    this.#kept.delete(dataId)
  }

  /** Gives the memory of all copies back, and makes no more. */
  release(): void {
    this.#isShort = true
    for (const dataId of [...this.#kept.keys()]) this.drop(dataId)
  }
}
