import { RankscopeError } from '@rankscope/protocol'
import { expect, test } from 'vitest'
import { DeviceMemory } from './device-memory.ts'

/** A device of `bytes` bytes that hands out addresses and counts. */
class CountingDevice {
  readonly pooled: boolean
  free: number
  refusals = 0
  #next = 64n

  constructor(bytes: number, pooled: boolean) {
    this.free = bytes
    this.pooled = pooled
  }

  allocate(bytes: number): bigint {
    if (bytes > this.free) {
      this.refusals++
      throw new RankscopeError('OUT_OF_MEMORY', `${bytes} bytes wanted, ${this.free} free`)
    }
    this.free -= bytes
    this.#next += BigInt(bytes)
    return this.#next
  }

  release(_address: unknown, bytes: number): void {
    this.free += bytes
  }
}

test('where there is no memory left all idle blocks go back and the device is asked once more', () => {
  const device = new CountingDevice(4096, true)
  const memory = new DeviceMemory(device)
  const live = memory.take(2048)
  memory.give(memory.take(2048))
  // Idle memory may stay as far as the pool's limit goes, a quarter above what was live at once; the device is full.
  const more = memory.take(1024)
  expect(device).toMatchObject({ free: 1024, refusals: 1 })
  expect(memory.use).toMatchObject({ liveBytes: 3072, pooledBytes: 0, liveBlocks: 2 })
  expect(() => memory.take(2048)).toThrow('2048 bytes wanted, 1024 free')
  memory.give(more)
  memory.give(live)
})

test('without a pool a block has the very size that was asked for and goes back at once', () => {
  const device = new CountingDevice(4096, false)
  const memory = new DeviceMemory(device)
  const block = memory.take(1300)
  expect([block.bytes, device.free]).toEqual([1300, 2796])
  memory.give(block)
  expect(device.free).toBe(4096)
  expect(memory.use).toMatchObject({ liveBytes: 0, pooledBytes: 0, liveBlocks: 0 })
})
