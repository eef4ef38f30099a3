/**
 * ‖ΔW_t‖_F² of single steps, for the modules that a run watches. What is measured is a copy: watching a module
 * changes no bit of its training.
 */
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { reshape } from '@tensorflow/tfjs-core'
import { accumulate, copy, directUpdate, sumOfSquares, zeroParameter } from '../ops/update.ts'
import type { ModuleShape } from './method.ts'

/** W changes by factor (A'B' − AB) when the factors move from A, B to A', B'. */
export interface FactorPair extends ModuleShape {
  /** [m, r] or [K, m, r] */
  readonly a: Variable
  /** [r, n] or [K, r, n] */
  readonly b: Variable
  readonly factor: number
}

/**
 * Runs `step` and returns the squared norm of the change of all pairs, in the form dA B + A dB + dA dB, which does not
 * cancel as A'B' − AB would.
 */
export async function factorStepSquares(pairs: readonly FactorPair[], step: () => void): Promise<number> {
  const before = pairs.map(({ a, b }) => ({ a: copyOf(a), b: copyOf(b) }))
  step()
  let squares = 0
  for (const [index, pair] of pairs.entries()) {
    const old = before[index]!
    const [deltaA, deltaB] = [copyOf(pair.a), copyOf(pair.b)]
    accumulate(deltaA, old.a, -1)
    accumulate(deltaB, old.b, -1)
    squares += await directStepSquares(pair, {
      a: batched(old.a),
      b: batched(old.b),
      deltaA: batched(deltaA),
      deltaB: batched(deltaB),
      factor: pair.factor,
      secondOrder: true,
    })
    for (const used of [old.a, old.b, deltaA, deltaB]) used.dispose()
  }
  return squares
}

/** The squared norm of one direct weight update. */
export async function directStepSquares(
  { rows, columns }: ModuleShape,
  change: Omit<Parameters<typeof directUpdate>[0], 'w'>,
): Promise<number> {
  const w = zeroParameter([rows, columns])
  directUpdate({ w, ...change })
  const squares = await sumOfSquares([w])
  w.dispose()
  return squares
}

/** Runs `step` and returns the squared norm of the change of dense weights; `weights` makes them afresh. */
export async function denseStepSquares(
  weights: readonly (() => Variable)[],
  step: () => void,
): Promise<number> {
  const before = weights.map((make) => make())
  step()
  let squares = 0
  for (const [index, make] of weights.entries()) {
    const after = make()
    accumulate(after, before[index]!, -1)
    squares += await sumOfSquares([after])
    after.dispose()
    before[index]!.dispose()
  }
  return squares
}

/** A variable of its own with the present values. */
export function copyOf(source: Tensor): Variable {
  const made = zeroParameter(source.shape)
  copy(made, source)
  return made
}

/** [m, r] as [1, m, r]. */
function batched(t: Tensor): Tensor {
  return t.rank === 3 ? t : reshape(t, [1, ...t.shape])
}

/** What `make` returns, as a variable of its own. */
export function ownTensor(make: () => Tensor): Variable {
  const made = make()
  const own = copyOf(made)
  made.dispose()
  return own
}
