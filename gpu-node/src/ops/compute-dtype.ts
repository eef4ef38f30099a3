/**
 * In which precision matrix products take their operands: mixed-precision training (Micikevicius et al. 2018,
 * arXiv 1710.03740) with bfloat16 as the narrow type.
 *
 * A scope, as torch.autocast is one: inside `computingIn('bfloat16', …)` every op of this folder that multiplies
 * matrices rounds both operands to bfloat16 and adds the products up in float32, forward and backward (the incoming
 * gradient is an operand too). Rounding counts as the identity for gradients (straight-through). Tensors themselves
 * stay float32, so parameters, moments and updates, which are changed outside any scope, know nothing of it.
 * ./rounded-operands.ts says which operands of which kernels these are.
 */
import type { RunConfig } from '@rankscope/protocol'

export type ComputeDtype = RunConfig['training']['computeDtype']

let present: ComputeDtype = 'float32'

export function computeDtype(): ComputeDtype {
  return present
}

/** Runs f, which must not await, in a scope of `dtype`. A backward pass belongs into the scope of its forward pass. */
export function computingIn<R>(dtype: ComputeDtype, f: () => R): R {
  const outer = present
  present = dtype
  try {
    return f()
  } finally {
    present = outer
  }
}
