/**
 * In which precision matrix products take their operands: mixed-precision training (Micikevicius et al. 2018,
 * arXiv 1710.03740) with bfloat16 as the narrow type, and TF32 as NVIDIA's tensor cores have it.
 *
 * A scope, as torch.autocast is one: inside `computingIn({ operands: 'bfloat16' }, …)` every op of this folder that
 * multiplies matrices rounds both operands to bfloat16 and adds the products up in float32, forward and backward (the
 * incoming gradient is an operand too). Rounding counts as the identity for gradients (straight-through). Tensors
 * themselves stay float32, so parameters, moments and updates, which are changed outside any scope, know nothing of it.
 * ./rounded-operands.ts says which operands of which kernels these are.
 *
 * `products` says how float32 operands are multiplied: as float32; TF32 cuts both to 11 significant bits; 3xTF32 splits
 * both in two TF32 parts and multiplies all but small · small, which has the accuracy of float32. Sums are float32 in
 * all. Only a backend that has such products may be active in such a scope.
 */
import type { RunConfig } from '@rankscope/protocol'

export type ComputeDtype = RunConfig['training']['computeDtype']
export type Products = RunConfig['training']['products']

export interface Precision {
  readonly operands: ComputeDtype
  readonly products: Products
}

let present: Precision = { operands: 'float32', products: 'float32' }

export function precision(): Precision {
  return present
}

/** Runs f, which must not await, in a scope of this precision. A backward pass belongs into the scope of its forward pass. */
export function computingIn<R>(wanted: Partial<Precision>, f: () => R): R {
  const outer = present
  present = { ...outer, ...wanted }
  try {
    return f()
  } finally {
    present = outer
  }
}
