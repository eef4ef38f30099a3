/** Registers the gradient of a fused kernel in TensorFlow.js's registry, with names in place of positions. */

import type { Tensor } from '@tensorflow/tfjs-core'
import { registerGradient } from '@tensorflow/tfjs-core'
import type { FusedKernels, KernelName } from './kernels.ts'
import { registryName } from './registry.ts'

type InputName<Name extends KernelName> = Extract<keyof Parameters<FusedKernels<Tensor>[Name]>[0], string>
type Attributes<Name extends KernelName> =
  Parameters<FusedKernels<Tensor>[Name]> extends [unknown, infer A] ? A : undefined

interface GradientRule<Name extends KernelName> {
  /** Inputs kept for the backward pass, in the order in which `gradient` gets them. Never an optional one. */
  saveInputs: readonly InputName<Name>[]
  /** Which outputs are kept; they follow the inputs. */
  saveOutputs?: readonly boolean[]
  /**
   * Gradients by input, each a function called only where that input is trained, directly or through what it was
   * made from. dy belongs to the first output; the other outputs of our kernels are not differentiable.
   * What several inputs share is computed here at once. Every result is a tensor of its own, never dy itself.
   * A function made by `addingToSum` includes what other users of the input have left.
   */
  gradient(
    dy: Tensor,
    saved: readonly Tensor[],
    attributes: Attributes<Name>,
  ): Partial<Record<InputName<Name>, () => Tensor>>
}

const adding = new WeakSet<() => Tensor>()

/**
 * A gradient that is cheaper when it is added to the sum of those before it than when the sum is formed afterwards.
 * It must include `sum` where that is given, and may write over it.
 */
export function addingToSum(rule: (sum?: Tensor) => Tensor): () => Tensor {
  adding.add(rule)
  return rule
}

/** The same function if it was made by `addingToSum`. */
export function asAdding(rule: () => Tensor): ((sum: Tensor) => Tensor) | undefined {
  return adding.has(rule) ? rule : undefined
}

export function registerFusedGradient<Name extends KernelName>(name: Name, rule: GradientRule<Name>): void {
  registerGradient({
    kernelName: registryName(name),
    inputsToSave: [...rule.saveInputs],
    outputsToSave: [...(rule.saveOutputs ?? [])],
    gradFunc: (dys, saved, attributes) => {
      const dy = Array.isArray(dys) ? (dys[0] as Tensor) : dys
      return rule.gradient(dy, saved, attributes as Attributes<Name>) as Record<string, () => Tensor>
    },
  })
}

/** What a caller of an op got wrong about shapes is a defect of ours: parameters were parsed long before. */
export function assertShape(condition: boolean, op: string, ...tensors: Tensor[]): void {
  if (condition) return
  throw new Error(`${op}: shapes do not fit: ${tensors.map((t) => `[${t.shape.join(',')}]`).join(' ')}`)
}
