/**
 * `tensorflow`: libtensorflow through @tensorflow/tfjs-node-gpu (CUDA 11.2, cuDNN 8.1) or @tensorflow/tfjs-node.
 *
 * Neither package is installed by default: each downloads a library of hundreds of megabytes. To add one:
 * `npm install --no-save @tensorflow/tfjs-node-gpu@4.22.0` (or `@tensorflow/tfjs-node@4.22.0`), on Node 20 or 22.
 */
import { backend, env, getKernel, setBackend } from '@tensorflow/tfjs-core'
import { registerComposedKernels } from '../ops/composed/index.ts'
import { registryName } from '../ops/kernels.ts'
import type { Backend } from './backend.ts'
import { unavailable } from './backend.ts'

const packages = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node']
const hint = `Install one: npm install --no-save ${packages[1]}@4.22.0 (or ${packages[0]}@4.22.0 with CUDA 11.2).`

export const tensorflowBackend: Backend = {
  name: 'tensorflow',
  async start({ threads }) {
    env().set('PROD', true)
    const loaded = await loadBinding()
    if (!getKernel(registryName('linear'), 'tensorflow')) registerComposedKernels('tensorflow')
    await setBackend('tensorflow')
    const { isGPUPackage, isUsingGpuDevice } = backend() as {
      isGPUPackage?: boolean
      isUsingGpuDevice?: boolean
    }
    const gpu = Boolean(isGPUPackage && isUsingGpuDevice)
    return { threads, gpu, description: `${loaded}, ${gpu ? 'GPU' : 'CPU'}` }
  },
}

/** The name of the first package that loads. */
async function loadBinding(): Promise<string> {
  const reasons: string[] = []
  for (const name of packages) {
    try {
      await import(name)
      return name
    } catch (error) {
      reasons.push(`${name}: ${reasonOf(error)}`)
    }
  }
  throw unavailable('tensorflow', reasons.join('; '), { hint })
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code === 'ERR_MODULE_NOT_FOUND' ? 'not installed' : message.split('\n')[0]!
}
