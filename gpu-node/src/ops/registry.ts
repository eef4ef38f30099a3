/** Fused kernels in TensorFlow.js's registry: a backend's are entered, the active backend's are run. */
import type { KernelFunc, NamedAttrMap, NamedTensorMap, Tensor, TensorInfo } from '@tensorflow/tfjs-core'
import { clone, engine, registerKernel } from '@tensorflow/tfjs-core'
import { precision } from './compute-dtype.ts'
import type { FusedKernels, KernelName, OperandPrecision } from './kernels.ts'
import { isProduct } from './rounded-operands.ts'

/** Names in TensorFlow.js's registry carry a prefix, away from its own kernels. */
export const registryPrefix = 'rankscope.'
export const registryName = (name: KernelName): string => `${registryPrefix}${name}`

/** A kernel that every backend gets for nothing: the same data, where gradients end. */
export const detachKernel = `${registryPrefix}detach`

/** Registers all fused kernels of one backend. */
export function registerFusedKernels<T extends TensorInfo>(
  backendName: string,
  kernels: FusedKernels<T>,
): void {
  for (const [name, kernel] of Object.entries(kernels)) {
    const kernelFunc = (({ inputs, attrs }) =>
      (kernel as (inputs: unknown, attributes: unknown) => TensorInfo)(inputs, attrs)) satisfies KernelFunc
    registerKernel({ kernelName: registryName(name as KernelName), backendName, kernelFunc })
  }
  registerKernel({
    kernelName: detachKernel,
    backendName,
    kernelFunc: ({ inputs }) => clone(inputs['x'] as Tensor),
  })
}

/**
 * Runs a fused kernel on the active backend; recorded on the tape like any op of TensorFlow.js. Products take their
 * operands in the precision of the present scope (./compute-dtype.ts).
 */
export function runFused<Name extends KernelName>(
  name: Name,
  ...[inputs, attributes]: Parameters<FusedKernels<Tensor>[Name]>
): ReturnType<FusedKernels<Tensor>[Name]> {
  const scope = isProduct(name) ? narrowed() : undefined
  const outputs = engine().runKernel(
    registryName(name),
    inputs as unknown as NamedTensorMap,
    { ...attributes, ...scope } as unknown as NamedAttrMap,
  )
  return outputs as unknown as ReturnType<FusedKernels<Tensor>[Name]>
}

/** What of the present scope is not float32. */
function narrowed(): OperandPrecision {
  const { operands, products } = precision()
  return { ...(operands !== 'float32' && { operands }), ...(products !== 'float32' && { products }) }
}
