/**
 * The contract between the differentiable ops (siblings of this file) and the backends: every fused kernel with its
 * inputs, attributes and outputs. In-place updates of parameters are in update-kernels.ts; registry.ts has a backend's
 * kernels registered and run.
 *
 * Shapes: N = batch * sequence rows, m inputs, n outputs, r rank, K virtual devices, D hidden width, V vocabulary,
 * H query heads, G key-value heads, hd width of a head, S sequence, B batch, C capacity of a cache. Everything is
 * float32 and row-major unless a comment says int32.
 *
 * Rules for an implementation: an output is fresh memory (or shares an input's data through the backend's reference
 * count), an input is never written to, nothing is left allocated but the outputs. An optional input is absent, never
 * null. Kernels see shapes that are consistent already: the ops check them.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core'
import type { ComputeDtype, Products } from './compute-dtype.ts'
import type { DropoutKeys } from './dropout-mask.ts'

export interface AttentionShape {
  batch: number
  sequence: number
  /** Query heads H. */
  heads: number
  /** Key-value heads G; H is a multiple of G, and key-value head g serves query heads g*H/G to (g+1)*H/G - 1. */
  keyValueHeads: number
  headDim: number
  /** Sliding window: key j is visible to query i when i - window < j <= i; 0 means no window. */
  window: number
}

export interface RopeShape {
  /** Position of row i is i mod sequence; cos and sin have at least `sequence` rows. */
  sequence: number
  heads: number
  headDim: number
  /** Rotate by the opposite angle: the gradient of the rotation. */
  inverse: boolean
}

export interface DropoutAttributes {
  /** Two words for each of E examples, N/E rows each. */
  keys: DropoutKeys
  /** p · 2³² for a probability p to be dropped. */
  threshold: number
  /** What is kept is multiplied by this: 1 / (1 - p). */
  factor: number
}

/** Of kernels that multiply matrices; what is absent is float32. Both sides of every product are operands. */
export interface OperandPrecision {
  operands?: ComputeDtype
  products?: Products
}

/** T is the tensor type that an implementation works with: Tensor (composed ops) or TensorInfo (raw memory). */
export interface FusedKernels<T extends TensorInfo = TensorInfo> {
  /**
   * factor * op(a) op(b), op = transpose of the last two axes where asked. Both of rank 2, or both of rank 3 with the
   * same first axis (one product per slice).
   */
  matMul(inputs: { a: T; b: T }, attributes: { transposeA: boolean; transposeB: boolean; factor: number }): T

  /** y[N,n] = x[N,m] w[m,n] (+ bias[n]) */
  linear(inputs: { x: T; w: T; bias?: T }): T

  /** y[N,n] = x w + scale * (x a[m,r]) b[r,n] (+ bias[n]); with `dropout` the adapter sees dropout(x), x w does not. */
  lowRankLinear(
    inputs: { x: T; w: T; a: T; b: T; bias?: T },
    attributes: { scale: number; dropout?: DropoutAttributes },
  ): T

  /**
   * y = x w (+ bias): the adapters a[K,m,r], b[K,r,n] and adapterInput[N,m] take part in the gradient only.
   */
  mutedLinear(inputs: { x: T; w: T; a: T; b: T; adapterInput: T; bias?: T }, attributes: { scale: number }): T

  /**
   * dx[N,m] = dy[N,n] wᵀ (+ dt[N,r] aᵀ, a[m,r]) (+ sum[N,m]); dt and a come together or not at all; with `dropout` it is
   * dropout(dt aᵀ) that is added. `sum` is given up by the caller: where nothing else shares its data, the result may be
   * written there.
   */
  linearInputGradient(
    inputs: { dy: T; w: T; dt?: T; a?: T; sum?: T },
    attributes?: { dropout?: DropoutAttributes },
  ): T

  /**
   * Gradients of the adapters a[K,m,r], b[K,r,n] from x[N,m] and dy[N,n], rows of device k contiguous:
   * u = scale * dy_k b_kᵀ, da_k = x_kᵀ u_k, db_k = scale * (x_k a_k)ᵀ dy_k; u [N,r].
   */
  adapterGradients(inputs: { x: T; dy: T; a: T; b: T }, attributes: { scale: number }): [da: T, db: T, u: T]

  /** Sums of the columns: x[N,n] -> [n]. */
  columnSum(inputs: { x: T }): T

  /** y[N,D] = x * inverseRms * gain[D]; inverseRms[N] = 1 / sqrt(mean(x²) + epsilon) */
  rmsNorm(inputs: { x: T; gain: T }, attributes: { epsilon: number }): [y: T, inverseRms: T]
  /** dx = inverseRms * (dy*gain - x * inverseRms² * mean(dy*gain*x)) (+ sum, as in linearInputGradient) */
  rmsNormInputGradient(inputs: { dy: T; x: T; gain: T; inverseRms: T; sum?: T }): T
  /** dgain[D] = sum over rows of dy * x * inverseRms */
  rmsNormGainGradient(inputs: { dy: T; x: T; inverseRms: T }): T

  /**
   * Half-split rotation of each head of x[N, heads*headDim]: with (x1, x2) the halves of a head and the row p of
   * cos, sin [*, headDim/2]: (x1 cos - x2 sin, x2 cos + x1 sin).
   */
  rope(inputs: { x: T; cos: T; sin: T }, attributes: RopeShape): T

  /**
   * q[N,H*hd], k[N,G*hd], v[N,G*hd] -> output[N,H*hd] and logSumExp[B,H,S] of the scaled scores
   * (scale 1/sqrt(hd)). The probabilities are never kept.
   */
  causalAttention(inputs: { q: T; k: T; v: T }, attributes: AttentionShape): [output: T, logSumExp: T]
  /** Recomputes the probabilities from logSumExp; shapes as q, k, v. */
  causalAttentionGradient(
    inputs: { dOutput: T; output: T; logSumExp: T; q: T; k: T; v: T },
    attributes: AttentionShape,
  ): [dq: T, dk: T, dv: T]

  /** silu(gate) * up, elementwise, any shape. */
  swiglu(inputs: { gate: T; up: T }): T
  swigluGradient(inputs: { dy: T; gate: T; up: T }): [dGate: T, dUp: T]

  /** Rows of table[V,D] at ids (int32 [N]) -> [N,D]; the attribute V is for the gradient. */
  embedding(inputs: { ids: T; table: T }, attributes: { vocabulary: number }): T
  /** Scatter-add of dy[N,D] into zeros [V,D]; equal ids add up. */
  embeddingGradient(inputs: { dy: T; ids: T }, attributes: { vocabulary: number }): T

  /** a + b of equal shape. */
  add(inputs: { a: T; b: T }): T

  /** x * factor, factor a scalar tensor of shape []. Where factor is 1 on the host the result may share x's data. */
  scaleByScalar(inputs: { x: T; factor: T }): T

  /**
   * logits = x[N,D] head[V,D]ᵀ in chunks of rows (never [N,V] at once; an implementation picks the chunk),
   * ce_i = logSumExp(logits_i) - logits_i[targets_i], 0 where targets_i (int32 [N]) is -100.
   * loss [] = sum_i weights_i ce_i (an ignored row counts nothing, whatever its weight), perToken [N] = ce_i.
   * Then, for wantInputGradient, dx[N,D] = d loss/d x, and for wantHeadGradient, dHead[V,D] = d loss/d head: made
   * while the chunk's logits are there. Outputs in that order, those not wanted left out.
   */
  crossEntropy(
    inputs: { x: T; head: T; targets: T; weights: T },
    attributes: { wantInputGradient: boolean; wantHeadGradient: boolean },
  ): [loss: T, perToken: T, ...gradients: T[]]

  /** y[N,n] * s[n], every row by the same factors. */
  scaleColumns(inputs: { y: T; s: T }): T
  /** Sums over rows of a * b, both [N,n] -> [n]. */
  columnDot(inputs: { a: T; b: T }): T

  /** w0[m,n] ⊙ (1 + a[m,r] b[r,n]) */
  hadamardWeight(inputs: { w0: T; a: T; b: T }): T

  /**
   * MoRA: y[N,n] = (sum +) D(C(x[N,m]) square[h,h]), n = columns. With cos, sin [p,h/2] of p = ceil(m/h) rows (h even):
   * C repeats the columns of x to p h of them and rotates block i, half-split, by row i; D puts the blocks' products
   * side by side. With cos, sin [0,0]: C adds the p blocks up. D then repeats its columns, or cuts them, to n.
   * `sum` is given up by the caller, as in linearInputGradient.
   */
  moraMap(
    inputs: { x: T; square: T; cos: T; sin: T; sum?: T },
    attributes: { columns: number } & OperandPrecision,
  ): T
  /** dx[N,m] = (sum +) Cᵀ(Dᵀ(dy) squareᵀ), m = columns */
  moraInputGradient(
    inputs: { dy: T; square: T; cos: T; sin: T; sum?: T },
    attributes: { columns: number } & OperandPrecision,
  ): T
  /** dsquare[h,h] = C(x)ᵀ Dᵀ(dy), h = size */
  moraSquareGradient(
    inputs: { x: T; dy: T; cos: T; sin: T },
    attributes: { size: number } & OperandPrecision,
  ): T

  /** x[N,w] * factor, or * 0 where ./dropout-mask.ts drops the entry. */
  dropout(inputs: { x: T }, attributes: DropoutAttributes): T

  /** Each entry's nearest bfloat16, ties to even; beyond the largest: infinity; NaN stays NaN. The output is float32. */
  roundBfloat16(inputs: { x: T }): T

  /**
   * One query per sequence against a cache: q[B,H*hd], keys and values [B,C,G*hd], lengths int32 [B] (>= 1): sequence
   * b attends to its rows max(0, lengths_b - window) to lengths_b - 1 (window 0: from 0) -> [B,H*hd].
   */
  cachedAttention(
    inputs: { q: T; keys: T; values: T; lengths: T },
    attributes: { heads: number; keyValueHeads: number; headDim: number; window: number },
  ): T
}

export type KernelName = keyof FusedKernels
