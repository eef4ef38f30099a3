/**
 * `cuda`: our kernels and cuBLAS on an NVIDIA GPU of compute capability 8.0 or later. Needs the driver and cuBLAS on the
 * machine (cuda/find-libraries.ts); a sibling of `native`, with which it shares device/. One process drives one GPU.
 */
import '@tensorflow/tfjs-backend-cpu'
import { setBackend } from '@tensorflow/tfjs-core'
import { type Backend, unavailable } from './backend.ts'
import { loadCudaLibrary } from './cuda/cuda-library.ts'
import { type DeviceBackend, registerDeviceBackend } from './device/device-backend.ts'

let started: DeviceBackend | undefined

export const cudaBackend: Backend = {
  name: 'cuda',
  async start({ threads }) {
    const library = loadCudaLibrary()
    if ('unavailable' in library)
      throw unavailable('cuda', library.unavailable, library.hint === undefined ? {} : { hint: library.hint })
    started ??= registerDeviceBackend(library)
    await setBackend('cuda')
    const { description, notes } = library
    return { threads, gpu: true, description, notes, freeMemoryBytes: library.freeMemoryBytes() }
  },
}

/** The running backend, for its figures of memory use and for how often it waited. */
export function runningCudaBackend(): DeviceBackend | undefined {
  return started
}
