/**
 * `wasm`: TensorFlow.js's WebAssembly backend, the one to fall back to where nothing native is installed.
 *
 * Its matrix product (XNNPACK with SIMD) is good, its other kernels take more time than the products that they stand
 * between, and its OneHot is wrong for float32. So products go to the backend and everything else runs as loops over
 * the module's heap. TensorFlow.js switches its threads off under Node: one thread.
 */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import '@tensorflow/tfjs-backend-wasm'
import { backend, engine, env, getKernel, setBackend } from '@tensorflow/tfjs-core'
import { registerHostKernels } from '../ops/host/index.ts'
import type { HostMemory } from '../ops/host/memory.ts'
import { registryName } from '../ops/kernels.ts'
import type { Backend } from './backend.ts'
import { unavailable } from './backend.ts'

export const wasmBackend: Backend = {
  name: 'wasm',
  async start() {
    env().set('PROD', true) // no banner that recommends other packages
    const started = await setBackend('wasm').catch((cause: unknown) => {
      throw unavailable('wasm', 'the WebAssembly module did not start', { cause })
    })
    if (!started) throw unavailable('wasm', 'the WebAssembly module did not start')
    if (!getKernel(registryName('linear'), 'wasm'))
      registerHostKernels('wasm', heapOf(backend() as BackendWasm))
    const simd = await env().getAsync('WASM_HAS_SIMD_SUPPORT')
    return { threads: 1, gpu: false, description: simd ? 'WebAssembly with SIMD' : 'WebAssembly' }
  },
}

function heapOf(wasm: BackendWasm): HostMemory {
  return {
    allocate: (shape) => engine().makeTensorFromTensorInfo(wasm.makeOutput([...shape], 'float32'), wasm),
    floats: (tensor) => wasm.typedArrayFromHeap(tensor) as Float32Array,
    integers: (tensor) => wasm.typedArrayFromHeap(tensor) as Int32Array,
  }
}
