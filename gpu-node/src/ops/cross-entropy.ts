/**
 * Cross-entropy of a language model's head, without ever holding the logits of a whole batch: x [N,D], head [V,D],
 * logits = x headᵀ row chunk by row chunk, and the gradients made from a chunk's logits while they are there.
 */

import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { engine, Variable } from '@tensorflow/tfjs-core'
import { assertShape, registerFusedGradient } from './register.ts'
import { runFused } from './registry.ts'

/** The label of a row that has no target. */
export const ignoredTarget = -100

/**
 * ce_i = logSumExp(x_i headᵀ) - (x_i headᵀ)[targets_i], 0 where targets_i (int32 [N]) is -100.
 * `loss` = sum_i weights_i ce_i, differentiable in x and head; `perToken` [N] = ce_i, not differentiable.
 * While a tape is recorded the gradients are made along with the loss, the head's only where it is trainable
 * (a variable made with trainable: false is not).
 */
export function crossEntropy(
  x: Tensor,
  head: Tensor,
  targets: Tensor,
  weights: Tensor,
): { loss: Scalar; perToken: Tensor1D } {
  const rows = x.shape[0]
  const rowsFit = targets.size === rows && weights.size === rows && targets.dtype === 'int32'
  assertShape(rowsFit && x.shape[1] === head.shape[1], 'crossEntropy', x, head, targets, weights)
  const wantInputGradient = engine().isTapeOn()
  const wantHeadGradient = wantInputGradient && !(head instanceof Variable && !head.trainable)
  const [loss, perToken, ...gradients] = runFused(
    'crossEntropy',
    { x, head, targets, weights },
    { wantInputGradient, wantHeadGradient },
  )
  for (const gradient of gradients) gradient.dispose() // the tape holds them
  return { loss: loss as Scalar, perToken: perToken as Tensor1D }
}

registerFusedGradient('crossEntropy', {
  saveInputs: [],
  saveOutputs: [false, false, true, true],
  gradient: (dLoss, [dx, dHead]) => ({
    x: () => runFused('scaleByScalar', { x: dx!, factor: dLoss }),
    head: () => {
      if (!dHead)
        throw new Error('crossEntropy: the gradient of a head marked as not trainable was asked for')
      return runFused('scaleByScalar', { x: dHead, factor: dLoss })
    },
  }),
})

/** x [N,D] headᵀ -> [N,V]; for a few rows at a time (decoding), not differentiable in practice. */
export function logits(x: Tensor, head: Tensor): Tensor2D {
  return runFused('matMul', { a: x, b: head }, { transposeA: false, transposeB: true, factor: 1 }) as Tensor2D
}
