/**
 * Gradient norms and clipping, as torch's `clip_grad_norm_`: factor min(1, max / (norm + 1e-6)).
 *
 * Averaged gradients have one norm over all parameters. Where each of K devices has gradients of its own ([K, …]), each
 * device is clipped by the norm of its own concatenated gradients, before Adam sees them (METHODS §1 row 13).
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import { reshape, tensor2d, tidy } from '@tensorflow/tfjs-core'
import { matMul } from '../ops/linear.ts'
import { sumOfSquares } from '../ops/update.ts'
import type { GradientStore } from './gradient-store.ts'

/**
 * averaged: K devices are plain data parallelism, one optimizer sees the mean of their gradients.
 * per-device: each device's optimizer sees the gradients of its own loss; trained tensors are [K, …].
 */
export type GradientKind = 'averaged' | 'per-device'

export interface ClippingResult {
  /**
   * Before clipping; the root mean square of the devices' norms where they have gradients of their own. Where it is not
   * finite the gradients are left as they came.
   */
  readonly norm: number
  /** What the optimizer still has to multiply gradients by. */
  readonly factor: number
}

export function clippingFactor(norm: number, maxGradNorm: number | null): number {
  return maxGradNorm === null ? 1 : Math.min(1, maxGradNorm / (norm + 1e-6))
}

export async function clipGradients(
  gradients: GradientStore,
  kind: GradientKind,
  devices: number,
  maxGradNorm: number | null,
): Promise<ClippingResult> {
  const all = gradients.parameters.map((parameter) => gradients.get(parameter))
  if (kind === 'averaged') {
    const norm = Math.sqrt(await sumOfSquares(all))
    return { norm, factor: clippingFactor(norm, maxGradNorm) }
  }
  if (maxGradNorm === null) return { norm: Math.sqrt((await sumOfSquares(all)) / devices), factor: 1 }
  const squares = await squaresPerDevice(all, devices)
  const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / devices)
  const factors = squares.map((square) => clippingFactor(Math.sqrt(square), maxGradNorm))
  // One device's NaN would reach all the others by way of the product with zeros.
  if (Number.isFinite(norm) && factors.some((factor) => factor !== 1))
    for (const parameter of gradients.parameters)
      gradients.replace(parameter, scaleDevices(gradients.get(parameter), factors))
  return { norm, factor: 1 }
}

/** Σ g² of each device over all gradients: the diagonal of g gᵀ for g [K, …] as [K, rest]. */
async function squaresPerDevice(gradients: readonly Tensor[], devices: number): Promise<number[]> {
  const sums = Array<number>(devices).fill(0)
  for (const gradient of gradients) {
    const products = tidy(() => {
      const flat = reshape(gradient, [devices, gradient.size / devices])
      return matMul(flat, flat, { transposeB: true })
    })
    const values = await products.data()
    products.dispose()
    for (let k = 0; k < devices; k++) sums[k]! += values[k * devices + k]!
  }
  return sums
}

/** diag(factors) g for g [K, …]; a new tensor. */
function scaleDevices(gradient: Tensor, factors: readonly number[]): Tensor {
  const devices = factors.length
  return tidy(() => {
    const diagonal = new Float32Array(devices * devices)
    factors.forEach((factor, k) => {
      diagonal[k * devices + k] = factor
    })
    const flat = reshape(gradient, [devices, gradient.size / devices])
    return reshape(matMul(tensor2d(diagonal, [devices, devices]), flat), gradient.shape)
  })
}
