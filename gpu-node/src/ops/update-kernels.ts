/** The contract of in-place updates of parameters between optimizers and methods on one side, backends on the other. */
import type { Tensor, Variable } from '@tensorflow/tfjs-core'

/** Settings of Adam that every update shares; the formula and the place of epsilon are torch's. */
export interface AdamSettings {
  learningRate: number
  beta1: number
  beta2: number
  /** Added to sqrt(v̂), after the bias correction. */
  epsilon: number
  /** Number of this step, from 1: the exponent of the bias corrections. */
  step: number
  /** The gradient is multiplied by this before it reaches the moments (clipping, averaging). */
  gradientFactor: number
}

export interface AdamMoments {
  /** First moment, shape of the gradient. */
  m: Variable
  /** Second moment, shape of the gradient. */
  v: Variable
  gradient: Tensor
}

/** Floats as a file of weights holds them, row-major and little-endian. */
export interface StoredFloats {
  /** At an address that is a multiple of an element's size; the caller may overwrite them after the call. */
  readonly bytes: Uint8Array
  readonly dtype: 'F32' | 'BF16' | 'F16'
  /** A matrix [n, m] that becomes [m, n]. */
  readonly transposed: boolean
}

/**
 * In-place changes of parameters. A parameter is a variable that owns its data alone, so an implementation may write
 * to its memory; one that cannot assigns a new tensor. Never called while a tape is being recorded.
 */
export interface UpdateKernels {
  /** A new tensor holding a copy of the values, which the caller stays free to change. */
  upload(values: Float32Array, shape: number[]): Tensor
  /** The same of what a file holds, widened on its way; a backend without it is given the values. */
  widen?(stored: StoredFloats, shape: number[]): Tensor
  /** target += factor * x, equal shapes. */
  accumulate(target: Variable, x: Tensor, factor: number): void
  /**
   * target += factor * x with Kahan's compensation (same shape, zero at the start), which holds what rounding lost:
   * y = factor * x - compensation; t = target + y; compensation = (t - target) - y; target = t.
   */
  compensatedAccumulate(target: Variable, compensation: Variable, x: Tensor, factor: number): void
  /** target = source, equal sizes. */
  copy(target: Variable, source: Tensor): void
  /** target *= factor; a factor of 0 writes zeros even over NaN. */
  scale(target: Variable, factor: number): void
  /** Sum of the squares of all elements of all tensors, accumulated in float64 where the backend has it. */
  sumOfSquares(tensors: readonly Tensor[]): Promise<number>
  /** parameter *= 1 - learningRate * weightDecay; parameter -= learningRate * m̂ / (sqrt(v̂) + epsilon). */
  adamW(change: AdamMoments & AdamSettings & { parameter: Variable; weightDecay: number }): void
  /** delta = -learningRate * m̂ / (sqrt(v̂) + epsilon), written over delta; the moments move. */
  adamDelta(change: AdamMoments & AdamSettings & { delta: Variable }): void
  /** target[m,n] += factor * left[m,q] right[q,n] */
  lowRankUpdate(target: Variable, left: Tensor, right: Tensor, factor: number): void
  /**
   * w[m,n] += factor * sum_k (deltaA_k b_k + a_k deltaB_k (+ deltaA_k deltaB_k with secondOrder)) as one product of
   * inner size 2Kr: [deltaA | a (+ deltaA)] [b ; deltaB]. a, deltaA [K,m,r]; b, deltaB [K,r,n].
   */
  directUpdate(change: {
    w: Variable
    a: Tensor
    b: Tensor
    deltaA: Tensor
    deltaB: Tensor
    factor: number
    secondOrder: boolean
  }): void
  /** target[rows_i] = x[i] for target [R,W], x[N,W], N row numbers. */
  writeRows(target: Variable, rows: Int32Array, x: Tensor): void
}
