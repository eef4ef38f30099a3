/**
 * `native`: C kernels and OpenBLAS (or the built-in sgemm), the default on a CPU. Needs the library that
 * gpu-node/kernels/build.ts makes. A sibling of what else builds rankscope.h; what they share is in device/.
 */
import '@tensorflow/tfjs-backend-cpu'
import { setBackend } from '@tensorflow/tfjs-core'
import { type Backend, unavailable } from './backend.ts'
import { type DeviceBackend, registerDeviceBackend } from './device/device-backend.ts'
import { loadNativeLibrary } from './native/native-library.ts'

let started: DeviceBackend | undefined

export const nativeBackend: Backend = {
  name: 'native',
  async start({ threads }) {
    const library = loadNativeLibrary()
    if ('unavailable' in library) throw unavailable('native', library.unavailable)
    library.set_threads(threads)
    started ??= registerDeviceBackend(library)
    await setBackend('native')
    return { threads, gpu: false, description: library.description }
  },
}

/** The running backend, for its figures of memory use. */
export function runningNativeBackend(): DeviceBackend | undefined {
  return started
}
