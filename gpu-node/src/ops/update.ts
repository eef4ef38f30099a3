/**
 * Parameters and their in-place updates: the optimizer's side of the engine, outside any tape.
 *
 * A parameter is a variable that is the sole owner of its data, made by `parameter` and changed only by the functions
 * below, on the active backend.
 */

import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { getBackend, variable } from '@tensorflow/tfjs-core'
import type { AdamMoments, AdamSettings, StoredFloats, UpdateKernels } from './update-kernels.ts'

const byBackend = new Map<string, UpdateKernels>()

export function registerUpdateKernels(backendName: string, kernels: UpdateKernels): void {
  byBackend.set(backendName, kernels)
}

/** The update kernels of the active backend. */
export function updateKernels(): UpdateKernels {
  const kernels = byBackend.get(getBackend())
  if (!kernels) throw new Error(`no update kernels are registered for the backend ${getBackend()}`)
  return kernels
}

/**
 * A variable with a copy of the values. A frozen weight is made with trainable: false, which spares the gradient of a
 * frozen head. The caller disposes of it.
 */
export function parameter(
  values: Float32Array,
  shape: readonly number[],
  { trainable = true } = {},
): Variable {
  return owner(updateKernels().upload(values, [...shape]), trainable)
}

/** Whether the active backend takes what a file holds as it is, see `storedParameter`. */
export function widensStored(): boolean {
  return updateKernels().widen !== undefined
}

/**
 * A variable of the given shape with the values of a file, widened by the backend: no array of float32 in between. Only where
 * `widensStored`. The caller disposes of it.
 */
export function storedParameter(stored: StoredFloats, shape: readonly number[]): Variable {
  return owner(updateKernels().widen!(stored, [...shape]), true)
}

function owner(tensor: Tensor, trainable: boolean): Variable {
  const made = variable(tensor, trainable)
  tensor.dispose()
  return made
}

/** A parameter of zeros: a moment, an accumulator. */
export function zeroParameter(shape: readonly number[]): Variable {
  return parameter(new Float32Array(shape.reduce((size, d) => size * d, 1)), shape)
}

/** target += factor * x */
export function accumulate(target: Variable, x: Tensor, factor = 1): void {
  updateKernels().accumulate(target, x, factor)
}

/** target += factor * x, with what rounding loses kept in `compensation` (Kahan), see the contract. */
export function compensatedAccumulate(target: Variable, compensation: Variable, x: Tensor, factor = 1): void {
  updateKernels().compensatedAccumulate(target, compensation, x, factor)
}

export function copy(target: Variable, source: Tensor): void {
  updateKernels().copy(target, source)
}

export function zero(target: Variable): void {
  updateKernels().scale(target, 0)
}

export function scale(target: Variable, factor: number): void {
  updateKernels().scale(target, factor)
}

/** Sum of squares over all tensors: the square of the global gradient norm. */
export function sumOfSquares(tensors: readonly Tensor[]): Promise<number> {
  return updateKernels().sumOfSquares(tensors)
}

/** AdamW (Loshchilov and Hutter 2019) as torch computes it; `step` counts from 1. */
export function adamW(
  change: AdamMoments & AdamSettings & { parameter: Variable; weightDecay: number },
): void {
  updateKernels().adamW(change)
}

/** delta = the change that Adam would make, moments moved; the parameter itself is left alone. */
export function adamDelta(change: AdamMoments & AdamSettings & { delta: Variable }): void {
  updateKernels().adamDelta(change)
}

/** target [m,n] += factor * left [m,q] right [q,n] */
export function lowRankUpdate(target: Variable, left: Tensor, right: Tensor, factor = 1): void {
  updateKernels().lowRankUpdate(target, left, right, factor)
}

/** w += factor * sum_k (deltaA_k b_k + a_k deltaB_k (+ deltaA_k deltaB_k)), one product of inner size 2Kr. */
export function directUpdate(change: Parameters<UpdateKernels['directUpdate']>[0]): void {
  updateKernels().directUpdate(change)
}

export interface HdPissaUpdate extends AdamSettings {
  /** [m,n], changed in place. */
  w: Variable
  /** Adapters [K,m,r] and [K,r,n], their moments and gradients in the same shapes. The adapters stay as they are. */
  a: Tensor
  b: Tensor
  mA: Variable
  vA: Variable
  gA: Tensor
  mB: Variable
  vB: Variable
  gB: Tensor
  /** 1 for the sum over devices, 1/K for the mean. */
  aggregateFactor: number
  /** Whether deltaA_k deltaB_k is part of the update. */
  secondOrder: boolean
  /** Receive the Adam deltas where given; otherwise these exist for the length of the call. */
  deltaA?: Variable
  deltaB?: Variable
}

/** One step of HD-PiSSA (arXiv 2505.18777 §4.2): W += factor * sum_k (dA_k B_k + A_k dB_k + dA_k dB_k). */
export function hdPissaUpdate(change: HdPissaUpdate): void {
  const { w, a, b, aggregateFactor, secondOrder } = change
  const deltaA = change.deltaA ?? zeroParameter(a.shape)
  const deltaB = change.deltaB ?? zeroParameter(b.shape)
  const { learningRate, beta1, beta2, epsilon, step, gradientFactor } = change
  const settings = { learningRate, beta1, beta2, epsilon, step, gradientFactor }
  adamDelta({ ...settings, m: change.mA, v: change.vA, gradient: change.gA, delta: deltaA })
  adamDelta({ ...settings, m: change.mB, v: change.vB, gradient: change.gB, delta: deltaB })
  directUpdate({ w, a, b, deltaA, deltaB, factor: aggregateFactor, secondOrder })
  if (!change.deltaA) deltaA.dispose()
  if (!change.deltaB) deltaB.dispose()
}
