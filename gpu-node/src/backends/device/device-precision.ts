/**
 * Fused kernels on a build that multiplies narrow operands itself: the library is told before a kernel that multiplies
 * matrices which precision it has (rankscope.h), and told float32 after it.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core'
import type { FusedKernels, KernelName, OperandPrecision } from '../../ops/kernels.ts'
import { isProduct } from '../../ops/rounded-operands.ts'
import type { DeviceLibrary } from './device-library.ts'
import { type NarrowCopies, repeatedOperands } from './narrow-copies.ts'

/** As rankscope.h numbers them. */
const numbers = { float32: 0, TF32: 1, bfloat16: 2, '3xTF32': 3 } as const

type Call = (
  inputs: Record<string, TensorInfo | undefined>,
  attributes?: OperandPrecision,
) => TensorInfo | TensorInfo[]

export function inPrecision(
  kernels: FusedKernels,
  library: Pick<DeviceLibrary, 'set_operands' | 'set_products'>,
  copies: NarrowCopies | null,
): FusedKernels {
  const choosing = Object.entries(kernels).map(([name, kernel]) => {
    if (!isProduct(name as KernelName)) return [name, kernel]
    const weights = repeatedOperands[name as KernelName] ?? []
    const call: Call = (inputs, attributes) => {
      const { operands = 'float32', products = 'float32' } = attributes ?? {}
      const run = () => (kernel as unknown as Call)(inputs, attributes)
      if (operands === 'float32' && products === 'float32') return run()
      if (operands === 'bfloat16') for (const input of weights) copies?.keep(inputs[input])
      library.set_operands(numbers[operands])
      library.set_products(numbers[products])
      try {
        return run()
      } finally {
        library.set_operands(numbers.float32)
        library.set_products(numbers.float32)
      }
    }
    return [name, call]
  })
  return Object.fromEntries(choosing)
}
