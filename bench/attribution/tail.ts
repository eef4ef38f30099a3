/**
 * What of an HD-PiSSA update lies beyond the reach of its first-order part, and where it comes from.
 *
 * The first-order part F = Σ_k (S_A,k B_k + A_k S_B,k) = L R has its columns in span(L) and its rows in span(R), both of
 * dimension 2Kr. Let P project onto the complement of span(L), Q onto that of span(R). Then P F Q = 0, and
 *
 *   P ΔW Q = P C Q + P E Q        C = c Σ_t Σ_k dA_k dB_k (second order),  E = rounding
 *
 * splits the tail beyond 2Kr exactly, whatever C and E do inside the 2Kr directions. (The factors' own rounding, of
 * running sums in float32, lies inside them and drops out.)
 */
import { projectionBeyond } from '../../gpu-node/src/linalg/complement.ts'
import type { SpectrumSource } from '../../gpu-node/src/linalg/index.ts'
import type { LinearAlgebra } from '../../gpu-node/src/linalg/linear-algebra.ts'

export interface Tail {
  /** ‖P ΔW Q‖_F, ‖P C Q‖_F and ‖P E Q‖_F. */
  readonly total: number
  readonly secondOrder: number
  readonly rounding: number
  /** Of ‖P C Q‖² + ‖P E Q‖² that is second order; the rest is rounding. */
  readonly secondOrderShare: number
  /** The largest singular value of P E Q. */
  readonly roundingLargest: number
}

/** Null where 2Kr directions are all that the matrix has. `second` is null where no such term was added. */
export function tailBeyondFirstOrder(
  algebra: LinearAlgebra,
  total: SpectrumSource,
  first: SpectrumSource,
  second: SpectrumSource | null,
): Tail | null {
  if (first.kind !== 'factored') throw new Error('the first-order part is not in factors')
  const beyond = projectionBeyond(algebra, first)
  if (!beyond) return null
  const both = beyond(difference(total))
  const secondOrder = second ? beyond(difference(second)) : new Float64Array(both.length)
  const rounding = both.map((value, i) => value - secondOrder[i]!)
  const [c, e] = [norm(secondOrder), norm(rounding)]
  return {
    total: norm(both),
    secondOrder: c,
    rounding: e,
    secondOrderShare: c ** 2 / (c ** 2 + e ** 2),
    roundingLargest: algebra.singularValues(rounding, first.rows, first.columns)[0]!,
  }
}

function difference(source: SpectrumSource): Float64Array {
  if (source.kind !== 'dense') throw new Error('a dense part was expected')
  const { after, before } = source
  return Float64Array.from(after, (value, i) => value - (before ? before[i]! : 0))
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}
