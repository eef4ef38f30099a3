/** All fused kernels and updates composed of TensorFlow.js ops: what any backend can run. */

import type { Tensor } from '@tensorflow/tfjs-core'
import { tidy } from '@tensorflow/tfjs-core'
import type { FusedKernels } from '../kernels.ts'
import { registerFusedKernels } from '../kernels.ts'
import { registerUpdateKernels } from '../update.ts'
import { composedAttention } from './attention.ts'
import { composedCrossEntropy } from './cross-entropy.ts'
import { composedDropout } from './dropout.ts'
import { composedLinear, composedPointwise } from './linear.ts'
import { composedMora } from './mora.ts'
import { composedUpdateKernels } from './update.ts'

export const composedKernels: FusedKernels<Tensor> = {
  ...composedLinear,
  ...composedPointwise,
  ...composedMora,
  ...composedDropout,
  ...composedAttention,
  ...composedCrossEntropy,
}

export function registerComposedKernels(backendName: string): void {
  registerFusedKernels(backendName, tidied(composedKernels))
  registerUpdateKernels(backendName, composedUpdateKernels)
}

/** The same kernels with what they make on the way disposed of. */
export function tidied(kernels: FusedKernels<Tensor>): FusedKernels<Tensor> {
  const wrapped = Object.entries(kernels).map(([name, kernel]) => [
    name,
    (inputs: unknown, attributes: unknown) =>
      tidy(() => (kernel as (inputs: unknown, attributes: unknown) => Tensor)(inputs, attributes)),
  ])
  return Object.fromEntries(wrapped) as FusedKernels<Tensor>
}
