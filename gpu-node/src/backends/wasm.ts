/**
 * `wasm`: TensorFlow.js's WebAssembly backend, the one to fall back to where nothing native is installed.
 *
 * Its matrix product (XNNPACK with SIMD) is good, its other kernels take more time than the products that they stand
 * between, and its OneHot is wrong for float32. So products go to the backend and everything else runs as loops over
 * the module's heap. TensorFlow.js switches its threads off under Node: one thread.
 *
 * XNNPACK packs the right operand of a product once and keeps the packed copy for as long as its tensor id lives: a
 * parameter that was written to in place gets a new id, or the next product would use the old values.
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

/** The bookkeeping of the backend between tensors and the module's ids for them. */
interface WasmInternals {
  dataIdNextNumber: number
  dataIdMap: { get(dataId: object): { id: number; memoryOffset: number } }
  wasm: {
    tfjs: {
      disposeData(id: number): void
      registerTensor(id: number, size: number, memoryOffset: number): void
    }
  }
}

function heapOf(wasm: BackendWasm): HostMemory {
  const internals = wasm as unknown as WasmInternals
  return {
    allocate: (shape) => engine().makeTensorFromTensorInfo(wasm.makeOutput([...shape], 'float32'), wasm),
    floats: (tensor) => wasm.typedArrayFromHeap(tensor) as Float32Array,
    changed: ({ dataId, size }) => {
      const data = internals.dataIdMap.get(dataId)
      internals.wasm.tfjs.disposeData(data.id)
      data.id = internals.dataIdNextNumber++
      internals.wasm.tfjs.registerTensor(data.id, size, data.memoryOffset)
    },
    integers: (tensor) => wasm.typedArrayFromHeap(tensor) as Int32Array,
  }
}
