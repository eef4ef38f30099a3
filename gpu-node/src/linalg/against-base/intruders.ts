/**
 * Intruder dimensions (Shuttleworth et al., arXiv 2410.21228): leading singular vectors of W0 + ΔW that are like none of
 * W0's. Overlap of direction j: c_j = max_i |v_j(W+)ᵀ v_i(W0)| on the output side (the left vectors of a weight [out, in]).
 */
import type { LinearAlgebra } from '../linear-algebra.ts'
import { leadingColumns } from '../matrix.ts'

/** The authors' settings, and PEFT's. */
export const intruderDepth = 10
export const intruderOverlap = 0.5

/** c_j [count] of the first `count` vectors of `after` [n, d] against all of `before` [n, d]. */
export function overlaps(
  algebra: LinearAlgebra,
  before: Float64Array,
  after: Float64Array,
  shape: { side: number; values: number; count: number },
): Float64Array {
  const { side, values, count } = shape
  const leading = leadingColumns(after, side, values, count)
  const products = algebra.multiply(before, leading, {
    rows: values,
    inner: side,
    columns: count,
    transposeLeft: true,
  })
  const largest = new Float64Array(count)
  for (let i = 0; i < values; i++)
    for (let j = 0; j < count; j++) largest[j] = Math.max(largest[j]!, Math.abs(products[i * count + j]!))
  return largest
}

/** Indices of the intruders. */
export function intrudersOf(found: Float64Array): number[] {
  return Array.from(found.keys()).filter((j) => found[j]! < intruderOverlap)
}
