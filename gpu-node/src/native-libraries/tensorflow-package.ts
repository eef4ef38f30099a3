/**
 * Finds libtensorflow: @tensorflow/tfjs-node-gpu (CUDA 11.2, cuDNN 8.1) or @tensorflow/tfjs-node.
 *
 * Neither package is installed by default: each downloads a library of hundreds of megabytes. docs/guide.md says how to
 * add one. A package that lies elsewhere, perhaps built against another libtensorflow, is taken from the folder that
 * the environment variable RANKSCOPE_TFJS_NODE names.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'

export const tensorflowPackages = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const

type Loaded<T> = { readonly name: string; readonly module: T } | { readonly missing: string }

/** The first package that loads: TensorFlow.js with libtensorflow registered as its backend `tensorflow`. */
export function loadTensorflow(): Loaded<unknown> {
  return firstThatLoads((name, require) => require(name))
}

/** What the package binds of libtensorflow's C interface, as far as raw ops need it. */
export interface TensorflowBinding {
  readonly TF_FLOAT: number
  readonly TF_ATTR_TYPE: number
  readonly TF_ATTR_BOOL: number
  readonly TF_Version: string
  /** Takes the array over without copying it; returns the tensor's id. */
  createTensor(shape: readonly number[], type: number, values: Float32Array): number
  deleteTensor(id: number): void
  tensorDataSync(id: number): Float32Array
  executeOp(
    name: string,
    attributes: readonly { name: string; type: number; value: number | boolean }[],
    inputs: readonly number[],
    outputs: number,
  ): { id: number; shape: number[]; dtype: number }[]
  isUsingGpuDevice(): boolean
}

/** The binding alone, on any thread: TensorFlow.js and its active backend stay as they are. */
export function loadTensorflowBinding(): Loaded<TensorflowBinding> {
  return firstThatLoads((name, require) => {
    const manifest = require.resolve(join(name, 'package.json'))
    const { find } = createRequire(manifest)('@mapbox/node-pre-gyp') as { find(manifest: string): string }
    return require(find(manifest)) as TensorflowBinding
  })
}

function firstThatLoads<T>(load: (name: string, require: NodeJS.Require) => T): Loaded<T> {
  const folder = process.env['RANKSCOPE_TFJS_NODE']
  const require = createRequire(import.meta.url)
  const reasons: string[] = []
  for (const name of folder ? [folder] : tensorflowPackages) {
    try {
      return { name, module: load(name, require) }
    } catch (error) {
      reasons.push(`${name}: ${reasonOf(error, name)}`)
    }
  }
  return { missing: reasons.join('; ') }
}

function reasonOf(error: unknown, name: string): string {
  const { code, message } = error as NodeJS.ErrnoException
  const missing =
    code === 'MODULE_NOT_FOUND' &&
    [name, join(name, 'package.json')].some((id) => message.includes(`'${id}'`))
  return missing ? 'not installed' : message.split('\n')[0]!
}
