/**
 * `tensorflow`: libtensorflow through @tensorflow/tfjs-node-gpu (CUDA 11.2, cuDNN 8.1) or @tensorflow/tfjs-node.
 *
 * Neither package is installed by default: each downloads a library of hundreds of megabytes. To add one, on Node 20
 * or 22, and again after each `npm ci`:
 * `npm install --no-save @tensorflow/tfjs-node-gpu@4.22.0` (or `@tensorflow/tfjs-node@4.22.0`).
 * A package that lies elsewhere, perhaps built against another libtensorflow, is taken from the folder that the
 * environment variable RANKSCOPE_TFJS_NODE names.
 */
import { createRequire } from 'node:module'
import { backend, env, getKernel, setBackend } from '@tensorflow/tfjs-core'
import { registerComposedKernels } from '../ops/composed/index.ts'
import { registryName } from '../ops/kernels.ts'
import type { Backend } from './backend.ts'
import { unavailable } from './backend.ts'

const packages = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node']
const hint = `Install one: npm install --no-save ${packages[1]}@4.22.0 (or ${packages[0]}@4.22.0 with CUDA 11.2).`

export const tensorflowBackend: Backend = {
  name: 'tensorflow',
  async start(options) {
    env().set('PROD', true) // no banner that recommends other packages
    // libtensorflow reads these once, when it is loaded.
    process.env['TF_NUM_INTRAOP_THREADS'] ??= String(options.threads)
    process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2' // errors only
    const threads = Number(process.env['TF_NUM_INTRAOP_THREADS'])
    const loaded = loadBinding()
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

/** The first package that loads. */
function loadBinding(): string {
  const folder = process.env['RANKSCOPE_TFJS_NODE']
  const require = createRequire(import.meta.url)
  const reasons: string[] = []
  for (const name of folder ? [folder] : packages) {
    try {
      require(name)
      return name
    } catch (error) {
      reasons.push(`${name}: ${reasonOf(error, name)}`)
    }
  }
  throw unavailable('tensorflow', reasons.join('; '), { hint })
}

function reasonOf(error: unknown, name: string): string {
  const { code, message } = error as NodeJS.ErrnoException
  const missing = code === 'MODULE_NOT_FOUND' && message.includes(`'${name}'`)
  return missing ? 'not installed' : message.split('\n')[0]!
}
