/** `tensorflow`: libtensorflow through @tensorflow/tfjs-node-gpu or @tensorflow/tfjs-node (tensorflow-package.ts). */
import { backend, env, getKernel, setBackend } from '@tensorflow/tfjs-core'
import { loadTensorflow, tensorflowPackages } from '../native-libraries/tensorflow-package.ts'
import { registerComposedKernels } from '../ops/composed/index.ts'
import { registryName } from '../ops/registry.ts'
import type { Backend } from './backend.ts'
import { unavailable } from './backend.ts'

const hint = `Install one: npm install --no-save ${tensorflowPackages[1]}@4.22.0 (or ${tensorflowPackages[0]}@4.22.0 with CUDA 11.2).`

export const tensorflowBackend: Backend = {
  name: 'tensorflow',
  async start(options) {
    env().set('PROD', true) // no banner that recommends other packages
    // libtensorflow reads these once, when it is loaded.
    process.env['TF_NUM_INTRAOP_THREADS'] ??= String(options.threads)
    process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2' // errors only
    const threads = Number(process.env['TF_NUM_INTRAOP_THREADS'])
    const loaded = loadTensorflow()
    if ('missing' in loaded) throw unavailable('tensorflow', loaded.missing, { hint })
    if (!getKernel(registryName('linear'), 'tensorflow')) registerComposedKernels('tensorflow')
    await setBackend('tensorflow')
    const { isGPUPackage, isUsingGpuDevice } = backend() as {
      isGPUPackage?: boolean
      isUsingGpuDevice?: boolean
    }
    const gpu = Boolean(isGPUPackage && isUsingGpuDevice)
    return { threads, gpu, description: `${loaded.name}, ${gpu ? 'GPU' : 'CPU'}` }
  },
}
