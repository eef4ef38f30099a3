/**
 * Principal angles between leading singular subspaces (Björck and Golub 1973): cos θ_i are the singular values of AᵀB, sin θ_i
 * those of B - A AᵀB. The angle comes from both, since the cosine alone loses small angles to rounding.
 */
import type { LinearAlgebra } from '../linear-algebra.ts'

const degrees = 180 / Math.PI

/** Degrees, ascending [count], between the spans of a and b, both [side, count] with orthonormal columns. */
export function principalAngles(
  algebra: LinearAlgebra,
  a: Float64Array,
  b: Float64Array,
  side: number,
  count: number,
): Float64Array {
  const product = algebra.multiply(a, b, { rows: count, inner: side, columns: count, transposeLeft: true })
  const cosines = algebra.singularValues(product, count, count)
  const reached = algebra.multiply(a, product, { rows: side, inner: count, columns: count })
  const sines = algebra.singularValues(
    b.map((value, i) => value - reached[i]!),
    side,
    count,
  )
  return cosines.map((cosine, i) => Math.atan2(sines[count - 1 - i]!, cosine) * degrees)
}

/** The lower middle one of ascending angles. */
export function medianAngle(angles: Float64Array): number {
  return angles[Math.floor((angles.length - 1) / 2)]!
}

/** ‖AᵀB‖_F² / count: 1 where the spans are the same, count / side by chance. */
export function subspaceSimilarity(
  algebra: LinearAlgebra,
  a: Float64Array,
  b: Float64Array,
  side: number,
  count: number,
): number {
  const product = algebra.multiply(a, b, { rows: count, inner: side, columns: count, transposeLeft: true })
  return product.reduce((sum, value) => sum + value * value, 0) / count
}
