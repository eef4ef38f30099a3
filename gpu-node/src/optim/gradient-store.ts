/**
 * The gradients of one optimiser step, summed over its micro-batches.
 *
 * With a single micro-batch the gradient tensors themselves are kept; with several they are added up in place, in
 * variables that stay from step to step.
 */
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { accumulate, zero, zeroParameter } from '../ops/update.ts'

export class GradientStore {
  readonly parameters: readonly Variable[]
  readonly #held = new Map<Variable, Tensor>()
  readonly #sums = new Map<Variable, Variable>()
  /** In the order of this step's first backward pass. */
  readonly #arrived = new Set<Variable>()

  constructor(parameters: readonly Variable[]) {
    this.parameters = parameters
  }

  /** Adds a gradient, which belongs to the store from now on. */
  add(parameter: Variable, gradient: Tensor): void {
    this.#arrived.add(parameter)
    const sum = this.#sums.get(parameter)
    const held = this.#held.get(parameter)
    if (sum) accumulate(sum, gradient)
    else if (!held) {
      this.#held.set(parameter, gradient)
      return
    } else {
      const made = zeroParameter(parameter.shape)
      accumulate(made, held)
      accumulate(made, gradient)
      this.#sums.set(parameter, made)
      held.dispose()
      this.#held.delete(parameter)
    }
    gradient.dispose()
  }

  /** The parameters whose gradients came since `clear`, the last layer's first. */
  get arrived(): readonly Variable[] {
    return [...this.#arrived]
  }

  /** The sum so far; zeros where nothing came. Owned by the store. */
  get(parameter: Variable): Tensor {
    const known = this.#held.get(parameter) ?? this.#sums.get(parameter)
    if (known) return known
    const zeros = zeroParameter(parameter.shape)
    this.#sums.set(parameter, zeros)
    return zeros
  }

  /** Puts another tensor in a gradient's place (clipping per device). */
  replace(parameter: Variable, gradient: Tensor): void {
    this.#held.get(parameter)?.dispose()
    this.#sums.get(parameter)?.dispose()
    this.#sums.delete(parameter)
    this.#held.set(parameter, gradient)
  }

  /** Forgets the step's gradients. */
  clear(): void {
    this.#arrived.clear()
    for (const tensor of this.#held.values()) tensor.dispose()
    this.#held.clear()
    for (const sum of this.#sums.values()) zero(sum)
  }

  dispose(): void {
    this.clear()
    for (const sum of this.#sums.values()) sum.dispose()
    this.#sums.clear()
  }
}
