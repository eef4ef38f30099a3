/**
 * Adapters from principal components, for PiSSA and HD-PiSSA: with W = U S Vᵀ and the components i_1 … i_r of a slice,
 *
 *   A = [u_i √(s_i / scale)] [m, r],   B = [√(s_i / scale) v_iᵀ] [r, n],   scale A B = Σ_i s_i u_i v_iᵀ
 */
import type { ModuleShape, Triplets } from './method.ts'

export interface PrincipalFactors {
  /** [slices, m, r] */
  readonly a: Float32Array
  /** [slices, r, n] */
  readonly b: Float32Array
}

/**
 * `slices`: numbers of components, all of one length r; a number that `triplets` does not reach stands for zeros.
 * Roots are taken in float64 and rounded once.
 */
export function principalFactors(
  triplets: Triplets,
  { rows, columns }: ModuleShape,
  slices: readonly (readonly number[])[],
  scale: number,
): PrincipalFactors {
  const rank = slices[0]?.length ?? 0
  const width = triplets.s.length
  const a = new Float32Array(slices.length * rows * rank)
  const b = new Float32Array(slices.length * rank * columns)
  slices.forEach((components, slice) => {
    components.forEach((component, position) => {
      if (component >= width) return
      const root = Math.sqrt(triplets.s[component]! / scale)
      const aStart = slice * rows * rank + position
      for (let i = 0; i < rows; i++) a[aStart + i * rank] = triplets.u[i * width + component]! * root
      const bStart = (slice * rank + position) * columns
      for (let j = 0; j < columns; j++) b[bStart + j] = triplets.v[j * width + component]! * root
    })
  })
  return { a, b }
}
