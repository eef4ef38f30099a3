/**
 * Memory of the device backend: blocks that tensors give back wait in a pool for the next tensor of about that size,
 * since a training step asks for the same sizes again and again.
 *
 * Sizes are rounded up to an eighth of a power of two. Before new memory is asked for, idle blocks go back to the
 * system for as long as the whole would exceed what has been live at once by more than a quarter: batches of
 * changing length cannot make the pool grow without end. Fresh pages cost more than the work on them, so a larger idle
 * block serves before that. Where there is no memory left, all idle blocks go back and the device is asked once more,
 * then all that has a reserve (`onShort`) gives it up.
 */
import type { DeviceLibrary } from './device-library.ts'

type MemorySource = Pick<DeviceLibrary, 'allocate' | 'release' | 'pooled' | 'whenShort'>

export interface Block {
  readonly address: bigint
  /** Size of the block, at least what was asked for. */
  readonly bytes: number
}

export interface MemoryUse {
  /** Held by tensors now. */
  liveBytes: number
  /** Idle, waiting in the pool. */
  pooledBytes: number
  /** Most that was live at once since the start or the last `resetPeak`. */
  peakLiveBytes: number
  /** Blocks held by tensors now. */
  liveBlocks: number
}

const slack = 1.25

export class DeviceMemory {
  readonly #library: MemorySource
  readonly #idle = new Map<number, Block[]>()
  #highestBytes = 0
  readonly use: MemoryUse = { liveBytes: 0, pooledBytes: 0, peakLiveBytes: 0, liveBlocks: 0 }

  constructor(library: MemorySource) {
    this.#library = library
    // A library whose calls take memory of their own asks by itself.
    library.whenShort?.(() => this.#giveBack())
  }

  /** Called where memory is short and no block is idle: what could be done without is to be given back. */
  onShort: () => void = () => undefined

  /** A block of at least `bytes` bytes; its contents are arbitrary. */
  take(bytes: number): Block {
    const size = this.#library.pooled ? sizeClass(bytes) : Math.max(bytes, 4)
    let block = this.#idle.get(size)?.pop() ?? this.#larger(size)
    if (block) {
      this.use.pooledBytes -= block.bytes
    } else {
      this.#trim(size)
      block = { address: this.#allocate(size), bytes: size }
    }
    this.use.liveBlocks += 1
    this.use.liveBytes += block.bytes
    if (this.use.liveBytes > this.use.peakLiveBytes) this.use.peakLiveBytes = this.use.liveBytes
    if (this.use.liveBytes > this.#highestBytes) this.#highestBytes = this.use.liveBytes
    return block
  }

  give(block: Block): void {
    this.use.liveBlocks -= 1
    this.use.liveBytes -= block.bytes
    if (!this.#library.pooled) {
      this.#library.release(block.address, block.bytes)
      return
    }
    this.use.pooledBytes += block.bytes
    const idle = this.#idle.get(block.bytes)
    if (idle) idle.push(block)
    else this.#idle.set(block.bytes, [block])
  }

  /** Gives all idle memory back to the system. */
  releaseIdle(): void {
    for (const size of this.#idle.keys()) this.#releaseSize(size, Number.POSITIVE_INFINITY)
  }

  resetPeak(): void {
    this.use.peakLiveBytes = this.use.liveBytes
  }

  #allocate(size: number): bigint {
    for (;;) {
      try {
        return this.#library.allocate(size)
      } catch (error) {
        if (this.#library.whenShort || !this.#giveBack()) throw error
      }
    }
  }

  /** Gives memory back to the device; false where there is nothing left to give. */
  #giveBack(): boolean {
    if (this.use.pooledBytes === 0) this.onShort()
    const had = this.use.pooledBytes > 0
    this.releaseIdle()
    return had
  }

  /** The smallest idle block of up to twice the size, where one of that size would only fit after giving others back. */
  #larger(size: number): Block | undefined {
    if (this.#excess(size) <= 0) return undefined
    let best = Number.POSITIVE_INFINITY
    for (const [other, idle] of this.#idle)
      if (idle.length > 0 && other > size && other <= 2 * size && other < best) best = other
    return this.#idle.get(best)?.pop()
  }

  /** Bytes by which the whole would exceed its limit with `bytes` more. */
  #excess(bytes: number): number {
    const limit = Math.max(this.#highestBytes, this.use.liveBytes + bytes) * slack
    return this.use.liveBytes + this.use.pooledBytes + bytes - limit
  }

  /** Makes room for `bytes` more; the sizes that have been in use longest go first. */
  #trim(bytes: number): void {
    for (const size of this.#idle.keys()) {
      const excess = this.#excess(bytes)
      if (excess <= 0) return
      this.#releaseSize(size, excess)
    }
  }

  #releaseSize(size: number, excess: number): void {
    const idle = this.#idle.get(size)!
    let released = 0
    while (idle.length > 0 && released < excess) {
      const block = idle.pop()!
      this.#library.release(block.address, block.bytes)
      this.use.pooledBytes -= block.bytes
      released += block.bytes
    }
    if (idle.length === 0) this.#idle.delete(size)
  }
}

/** Rounds up to a multiple of an eighth of the power of two below, and of a cache line. */
function sizeClass(bytes: number): number {
  if (bytes <= 512) return Math.max(64, Math.ceil(bytes / 64) * 64)
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 3)
  return Math.ceil(bytes / step) * step
}
