/** The differentiable ops that models and methods are written in, on whatever backend is active. */

export { type AttentionOptions, type CacheShape, causalAttention, KeyValueCache } from './attention.ts'

import './standard-gradients.ts'

export { checkpoint } from './checkpoint.ts'
export { crossEntropy, ignoredTarget, logits } from './cross-entropy.ts'
export { dropout } from './dropout.ts'
export { backward, valueAndGradients } from './gradients.ts'
export { add, detach, linear, lowRankLinear, matMul, mutedLinear } from './linear.ts'
export { moraMap } from './mora.ts'
export { embedding, hadamardWeight, rmsNorm, rope, scaleColumns, swiglu } from './pointwise.ts'
export {
  accumulate,
  adamDelta,
  adamW,
  compensatedAccumulate,
  copy,
  directUpdate,
  type HdPissaUpdate,
  hdPissaUpdate,
  lowRankUpdate,
  parameter,
  scale,
  storedParameter,
  sumOfSquares,
  widensStored,
  zero,
  zeroParameter,
} from './update.ts'
