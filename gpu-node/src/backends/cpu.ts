/** `cpu`: TensorFlow.js's plain JavaScript backend. Slow and everywhere: for tests and as the last resort. */
import '@tensorflow/tfjs-backend-cpu'
import { env, getKernel, setBackend } from '@tensorflow/tfjs-core'
import { registerComposedKernels } from '../ops/composed/index.ts'
import { registryName } from '../ops/registry.ts'
import type { Backend } from './backend.ts'

export const cpuBackend: Backend = {
  name: 'cpu',
  async start() {
    env().set('PROD', true) // no banner that recommends other packages
    if (!getKernel(registryName('linear'), 'cpu')) registerComposedKernels('cpu')
    await setBackend('cpu')
    return { threads: 1, gpu: false, description: 'JavaScript' }
  },
}
