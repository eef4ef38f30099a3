/**
 * What of a matrix lies beyond the reach of a product L R: with P the projection onto the complement of L's columns and
 * Q that onto the complement of R's rows, P (L R) Q = 0. Applied to HD-PiSSA's update, whose first-order part is such a
 * product of inner size 2Kr, it splits the tail exactly: P ΔW Q = P C Q + P E Q, second order and rounding alone.
 */
import type { LinearAlgebra } from './linear-algebra.ts'
import type { FactoredSource } from './spectrum.ts'
import { stackedFactors } from './stacked-factors.ts'

/** X ↦ P X Q for X [rows, columns]; null where L and R reach everything. */
export function projectionBeyond(
  algebra: LinearAlgebra,
  product: FactoredSource,
): ((x: Float64Array) => Float64Array) | null {
  const { rows, columns } = product
  const stacked = stackedFactors(product)
  const { inner } = stacked
  if (inner >= Math.min(rows, columns)) return null
  const left = algebra.qr(stacked.left, rows, inner).q
  const right = algebra.qr(stacked.right, columns, inner).q
  return (x) => {
    const coefficients = algebra.multiply(left, x, { rows: inner, inner: rows, columns, transposeLeft: true })
    const inLeft = algebra.multiply(left, coefficients, { rows, inner, columns })
    const rest = x.map((value, i) => value - inLeft[i]!)
    const across = algebra.multiply(rest, right, { rows, inner: columns, columns: inner })
    const inRight = algebra.multiply(across, right, { rows, inner, columns, transposeRight: true })
    return rest.map((value, i) => value - inRight[i]!)
  }
}
