/**
 * Where NaN or infinity first comes up: in tensors, and along a forward pass. A healthy step pays one sum of squares over what
 * it changed; the search looks again, value by value, once something is wrong.
 */
import { RankscopeError } from '@rankscope/protocol'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { type LinearHook, loss, type TokenBatch } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import { sumOfSquares } from '../ops/update.ts'

/** A tensor under the name that a user knows it by. */
export type NamedTensor = readonly [name: string, tensor: Tensor]

/** The first of the tensors that holds NaN or infinity, with what it holds; null where all are finite. */
export async function firstNotFinite(
  tensors: Iterable<NamedTensor>,
): Promise<{ name: string; value: number } | null> {
  const all = [...tensors]
  if (all.length === 0 || Number.isFinite(await sumOfSquares(all.map(([, tensor]) => tensor)))) return null
  // The sum alone may have overflowed: each value is looked at.
  for (const [name, tensor] of all) {
    const value = ((await tensor.data()) as Float32Array).find((entry) => !Number.isFinite(entry))
    if (value !== undefined) return { name, value }
  }
  return null
}

/** Throws NUMERIC naming the first tensor of a model, as loaded, that holds NaN or infinity. */
export async function requireFiniteWeights(model: Model): Promise<void> {
  const found = await firstNotFinite(model.weights)
  if (!found) return
  const where = model.folder === null ? '' : `${model.folder}: `
  throw new RankscopeError('NUMERIC', `${where}tensor ${found.name} of the base model holds ${found.value}`, {
    hint: 'The fault is in the model’s files, not in the run’s settings: fetch or convert them anew, or take another model.',
  })
}

/** Ends a forward pass at the first value that is not finite. */
class Found extends Error {
  readonly where: string

  constructor(where: string) {
    super(where)
    this.where = where
  }
}

/** What first is not finite in the forward pass over a batch, in words; null where all linear layers are finite. */
export function firstInForward(model: Model, batch: TokenBatch, hook: LinearHook): string | null {
  const probe = (words: string, tensor: Tensor) => {
    const value = (tensor.dataSync() as Float32Array).find((entry) => !Number.isFinite(entry))
    if (value !== undefined) throw new Found(`${words} (activations: ${value})`)
  }
  const probing: LinearHook = (module, x) => {
    probe(`the input of ${module}`, x)
    const y: Tensor2D = hook(module, x)
    probe(`the output of ${module}`, y)
    return y
  }
  try {
    const { loss: value, perToken } = loss(model, batch, probing)
    value.dispose()
    perToken.dispose()
    return null
  } catch (error) {
    if (error instanceof Found) return error.where
    throw error
  }
}
