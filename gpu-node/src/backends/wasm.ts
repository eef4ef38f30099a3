/** `wasm`: TensorFlow.js's WebAssembly backend, the one to fall back to where nothing native is installed. */
import '@tensorflow/tfjs-backend-wasm'
import { env, getKernel, setBackend } from '@tensorflow/tfjs-core'
import { registerComposedKernels } from '../ops/composed/index.ts'
import { registryName } from '../ops/kernels.ts'
import type { Backend } from './backend.ts'
import { unavailable } from './backend.ts'

export const wasmBackend: Backend = {
  name: 'wasm',
  async start() {
    env().set('PROD', true)
    if (!getKernel(registryName('linear'), 'wasm')) registerComposedKernels('wasm')
    if (!(await setBackend('wasm'))) throw unavailable('wasm', 'the WebAssembly module did not start')
    return { threads: 1, gpu: false, description: 'WebAssembly' }
  },
}
