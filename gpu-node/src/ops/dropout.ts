/** Dropout with a mask that is a function of keys (./dropout-mask.ts): recomputed for the gradient, never kept. */
import type { Tensor2D } from '@tensorflow/tfjs-core'
import type { DropoutAttributes } from './kernels.ts'
import { assertShape, registerFusedGradient } from './register.ts'
import { runFused } from './registry.ts'

/** x [N, w], rows of an example contiguous, as many examples as keys. */
export function dropout(x: Tensor2D, attributes: DropoutAttributes): Tensor2D {
  assertShape(x.rank === 2 && (x.shape[0] * 2) % attributes.keys.length === 0, 'dropout', x)
  return runFused('dropout', { x }, attributes) as Tensor2D
}

registerFusedGradient('dropout', {
  saveInputs: [],
  gradient: (dy, _, attributes) => ({ x: () => runFused('dropout', { x: dy }, attributes) }),
})
