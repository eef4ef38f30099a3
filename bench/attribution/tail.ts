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
import type { FactoredSource, LowRankTerm, SpectrumSource } from '../../gpu-node/src/linalg/index.ts'
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

interface Dense {
  readonly rows: number
  readonly columns: number
  readonly values: Float64Array
}

/** Null where 2Kr directions are all that the matrix has. `second` is null where no such term was added. */
export function tailBeyondFirstOrder(
  algebra: LinearAlgebra,
  total: SpectrumSource,
  first: SpectrumSource,
  second: SpectrumSource | null,
): Tail | null {
  if (first.kind !== 'factored') throw new Error('the first-order part is not in factors')
  const inner = first.terms.reduce((sum, term) => sum + term.inner, 0)
  if (inner >= Math.min(first.rows, first.columns)) return null
  const left = algebra.qr(stackedLeft(first), first.rows, inner).q
  const right = algebra.qr(stackedRight(first), first.columns, inner).q
  const outside = (source: SpectrumSource) =>
    projected(algebra, difference(source), { left, right, inner }).values
  const both = outside(total)
  const secondOrder = second ? outside(second) : new Float64Array(both.length)
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

/** (I − L Lᵀ) X (I − R Rᵀ) for orthonormal L [rows, inner], R [columns, inner]. */
function projected(
  algebra: LinearAlgebra,
  { rows, columns, values }: Dense,
  { left, right, inner }: { left: Float64Array; right: Float64Array; inner: number },
): Dense {
  const coefficients = algebra.multiply(left, values, {
    rows: inner,
    inner: rows,
    columns,
    transposeLeft: true,
  })
  const inLeft = algebra.multiply(left, coefficients, { rows, inner, columns })
  const rest = values.map((value, i) => value - inLeft[i]!)
  const across = algebra.multiply(rest, right, { rows, inner: columns, columns: inner })
  const inRight = algebra.multiply(across, right, { rows, inner, columns, transposeRight: true })
  return { rows, columns, values: rest.map((value, i) => value - inRight[i]!) }
}

function difference(source: SpectrumSource): Dense {
  if (source.kind !== 'dense') throw new Error('a dense part was expected')
  const { rows, columns, after, before } = source
  return { rows, columns, values: Float64Array.from(after, (value, i) => value - (before ? before[i]! : 0)) }
}

/** All left factors side by side, [rows, inner]. */
function stackedLeft({ rows, terms }: FactoredSource): Float64Array {
  return stacked(rows, terms, ({ left, inner }, row, j) => left[row * inner + j]!)
}

/** All right factors side by side, transposed: [columns, inner]. */
function stackedRight({ columns, terms }: FactoredSource): Float64Array {
  return stacked(columns, terms, ({ right }, row, j) => right[j * columns + row]!)
}

function stacked(
  height: number,
  terms: readonly LowRankTerm[],
  entry: (term: LowRankTerm, row: number, j: number) => number,
): Float64Array {
  const inner = terms.reduce((sum, term) => sum + term.inner, 0)
  const made = new Float64Array(height * inner)
  let offset = 0
  for (const term of terms) {
    for (let row = 0; row < height; row++)
      for (let j = 0; j < term.inner; j++) made[row * inner + offset + j] = entry(term, row, j)
    offset += term.inner
  }
  return made
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}
