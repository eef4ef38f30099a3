/**
 * `native`: C kernels and OpenBLAS (or the built-in sgemm), the default on a CPU. Needs the library that
 * gpu-node/kernels/build.ts makes.
 */
import '@tensorflow/tfjs-backend-cpu'
import { env, registerBackend, setBackend } from '@tensorflow/tfjs-core'
import { registerFusedKernels } from '../ops/kernels.ts'
import { registerUpdateKernels } from '../ops/update.ts'
import { type Backend, unavailable } from './backend.ts'
import { NativeBackend } from './device/device-backend.ts'
import { createNativeKernels } from './device/device-kernels.ts'
import { registerTensorKernels } from './device/device-tensor-kernels.ts'
import { createNativeUpdates } from './device/device-updates.ts'
import { loadNativeLibrary, type NativeLibrary } from './native/native-library.ts'

let started: NativeBackend | undefined

export const nativeBackend: Backend = {
  name: 'native',
  async start({ threads }) {
    const library = loadNativeLibrary()
    if ('unavailable' in library) throw unavailable('native', library.unavailable)
    library.set_threads(threads)
    started ??= register(library)
    await setBackend('native')
    return { threads, gpu: false, description: library.description }
  },
}

/** The running backend, for its figures of memory use. */
export function runningNativeBackend(): NativeBackend | undefined {
  return started
}

function register(library: NativeLibrary): NativeBackend {
  env().set('PROD', true) // no banner that recommends other packages
  const backend = new NativeBackend(library)
  registerBackend('native', () => backend)
  registerTensorKernels('native')
  registerFusedKernels('native', createNativeKernels(backend))
  registerUpdateKernels('native', createNativeUpdates(backend))
  return backend
}
