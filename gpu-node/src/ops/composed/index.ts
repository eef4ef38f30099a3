/** All fused kernels and updates composed of TensorFlow.js ops: what any backend can run. */

import type { Tensor } from '@tensorflow/tfjs-core'
import { reshape, tidy } from '@tensorflow/tfjs-core'
import type { FusedKernels } from '../kernels.ts'
import { registerFusedKernels } from '../registry.ts'
import { roundingOperands, type Workspace } from '../rounded-operands.ts'
import { registerUpdateKernels } from '../update.ts'
import { composedAttention } from './attention.ts'
import { composedBfloat16 } from './bfloat16.ts'
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
  ...composedBfloat16,
  ...composedAttention,
  ...composedCrossEntropy,
}

export function registerComposedKernels(backendName: string): void {
  registerFusedKernels(backendName, tidied(roundingOperands(composedKernels, tensorWorkspace)))
  registerUpdateKernels(backendName, composedUpdateKernels)
}

/** For kernels inside `tidied`. */
export const tensorWorkspace: Workspace<Tensor> = { release: () => undefined, view: reshape }

/** The same kernels with what they make on the way disposed of. */
export function tidied(kernels: FusedKernels<Tensor>): FusedKernels<Tensor> {
  const wrapped = Object.entries(kernels).map(([name, kernel]) => [
    name,
    (inputs: unknown, attributes: unknown) =>
      tidy(() => (kernel as (inputs: unknown, attributes: unknown) => Tensor)(inputs, attributes)),
  ])
  return Object.fromEntries(wrapped) as FusedKernels<Tensor>
}
