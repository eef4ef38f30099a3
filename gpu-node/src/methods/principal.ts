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

/** How many components of one module's adapters stand for nothing: zero, or below what float32 can tell from zero. */
function missingComponents(
  a: ArrayLike<number>,
  { rows, columns }: ModuleShape,
  rank: number,
): { missing: number; components: number } {
  // ‖A_:j‖² = s_j / scale
  const squares = new Float64Array(a.length / rows)
  for (let i = 0; i < a.length; i++) squares[Math.floor(i / (rows * rank)) * rank + (i % rank)]! += a[i]! ** 2
  const threshold = Math.max(rows, columns) * 2 ** -23 * squares.reduce((most, s) => Math.max(most, s), 0)
  return { missing: squares.filter((s) => s <= threshold).length, components: squares.length }
}

/**
 * Warns of modules whose weight has fewer directions than the adapters want, by name. `a` is A [slices, m, r] as it was at
 * the start. Where it is zero so are B and all gradients: such a component never trains.
 */
export function warnOfMissingComponents(
  modules: readonly {
    readonly target: ModuleShape & { readonly name: string }
    readonly a: ArrayLike<number>
  }[],
  rank: number,
  warn: (message: string) => void,
): void {
  const counts = modules.map(({ target, a }) => ({
    name: target.name,
    ...missingComponents(a, target, rank),
  }))
  const zero = counts.filter(({ missing, components }) => missing === components).map(({ name }) => name)
  if (zero.length > 0)
    warn(
      `${listed(zero)} all zeros: without principal components the adapters there start at zero, have no gradient and never train`,
    )
  for (const { name, missing, components } of counts)
    if (missing > 0 && missing < components)
      warn(
        `${name} has a rank of ${components - missing}, lower than the ${components} components asked for: the other ${missing} start at zero or as rounding, and hardly train`,
      )
}

/** `a is`, `a and b are`. */
export function listed(names: readonly string[]): string {
  if (names.length === 1) return `${names[0]} is`
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)} are`
}
