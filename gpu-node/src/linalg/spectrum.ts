/**
 * Singular values of a weight update, in float64, from whatever represents it without loss (METHODS §2.9, §4.4).
 *
 * Never from merged weights where factors exist: merging rounds to float32, and that noise fills the tail.
 */
import type { RankMeasures } from '@rankscope/protocol'
import { projectionBeyond } from './complement.ts'
import type { FloatArray, LinearAlgebra } from './linear-algebra.ts'
import { assertSize, euclideanNorm } from './matrix.ts'
import { float32RoundingDeviation, rankMeasures } from './rank-measures.ts'
import { stackedFactors } from './stacked-factors.ts'

/** factor * left right: left [rows, inner], right [inner, columns]. */
export interface LowRankTerm {
  readonly left: FloatArray
  readonly right: FloatArray
  readonly inner: number
  readonly factor: number
}

/** after - before - the subtracted parts, all [rows, columns]; the difference is formed in float64. */
export interface DenseSource {
  readonly kind: 'dense'
  readonly rows: number
  readonly columns: number
  readonly after: FloatArray
  /** Null: `after` is itself the update, e.g. an accumulated second-order part. */
  readonly before: FloatArray | null
  /** Parts known separately; what is left is, for instance, the accumulated rounding. */
  readonly subtract?: { readonly terms?: readonly LowRankTerm[]; readonly dense?: FloatArray }
  /** A part of the update in factors: what lies beyond its reach is measured as well. */
  readonly firstOrder?: readonly LowRankTerm[]
}

/**
 * The sum of the terms. LoRA: s A B. PiSSA: s A B - s A0 B0. First-order HD-PiSSA: S_A B + A S_B.
 */
export interface FactoredSource {
  readonly kind: 'factored'
  readonly rows: number
  readonly columns: number
  readonly terms: readonly LowRankTerm[]
}

export type SpectrumSource = DenseSource | FactoredSource

export interface Spectrum {
  /** Descending, [min(rows, columns)]; exact zeros beyond the rank that the factors allow. */
  readonly singularValues: Float64Array
  /** The Frobenius norm of the update. */
  readonly frobenius: number
  readonly measures: RankMeasures
  /** ‖P X Q‖_F beyond the columns and rows that `firstOrder` reaches; null without it, or where it reaches all. */
  readonly beyondFirstOrder: number | null
  /** Standard deviation of one float32 rounding of `before`; null without it. */
  readonly roundingDeviation: number | null
  readonly elapsedMs: number
}

/** Errors: NUMERIC where an entry is not finite. */
export function spectrum(algebra: LinearAlgebra, source: SpectrumSource, now: () => number): Spectrum {
  const start = now()
  const { singularValues, ...beside } =
    source.kind === 'dense' ? ofDense(algebra, source) : ofFactors(algebra, source)
  return {
    singularValues,
    frobenius: euclideanNorm(singularValues),
    measures: rankMeasures(singularValues, source),
    ...beside,
    elapsedMs: now() - start,
  }
}

type Found = Pick<Spectrum, 'singularValues' | 'beyondFirstOrder' | 'roundingDeviation'>

function ofFactors(algebra: LinearAlgebra, source: FactoredSource): Found {
  const singularValues = factoredSingularValues(algebra, source)
  return { singularValues, beyondFirstOrder: null, roundingDeviation: null }
}

function ofDense(algebra: LinearAlgebra, source: DenseSource): Found {
  const { rows, columns, before, firstOrder } = source
  const difference = denseDifference(algebra, source)
  const beyond =
    firstOrder && projectionBeyond(algebra, { kind: 'factored', rows, columns, terms: firstOrder })
  return {
    beyondFirstOrder: beyond ? euclideanNorm(beyond(difference)) : null,
    roundingDeviation: before ? float32RoundingDeviation(before) : null,
    singularValues: algebra.singularValues(difference, rows, columns),
  }
}

/** The update itself, [rows, columns] in float64. */
export function denseUpdate(algebra: LinearAlgebra, source: SpectrumSource): Float64Array {
  if (source.kind === 'dense') return denseDifference(algebra, source)
  const { rows, columns } = source
  const { left, right, inner } = stackedFactors(source)
  if (inner === 0) return new Float64Array(rows * columns)
  return algebra.multiply(left, right, { rows, inner, columns, transposeRight: true })
}

function denseDifference(algebra: LinearAlgebra, source: DenseSource): Float64Array {
  const { rows, columns, after, before, subtract } = source
  for (const part of [after, before, subtract?.dense]) if (part) assertSize(part, rows, columns)
  const difference = Float64Array.from(after)
  if (before) for (let i = 0; i < difference.length; i++) difference[i]! -= before[i]!
  const dense = subtract?.dense
  if (dense) for (let i = 0; i < difference.length; i++) difference[i]! -= dense[i]!
  if (subtract?.terms && subtract.terms.length > 0) {
    const { left, right, inner } = stackedFactors({ kind: 'factored', rows, columns, terms: subtract.terms })
    const product = algebra.multiply(left, right, { rows, inner, columns, transposeRight: true })
    for (let i = 0; i < difference.length; i++) difference[i]! -= product[i]!
  }
  return difference
}

/**
 * [left_1 .. left_T] = Q_L R_L, [right_1ᵀ .. right_Tᵀ] = Q_R R_R; the values of the sum are those of the core
 * R_L R_Rᵀ, at most (total inner)² in size.
 */
function factoredSingularValues(algebra: LinearAlgebra, source: FactoredSource): Float64Array {
  const { rows, columns } = source
  const values = new Float64Array(Math.min(rows, columns))
  const { left, right, inner } = stackedFactors(source)
  if (inner === 0) return values
  const leftCore = algebra.qr(left, rows, inner).r
  const rightCore = algebra.qr(right, columns, inner).r
  const [coreRows, coreColumns] = [Math.min(rows, inner), Math.min(columns, inner)]
  const core = algebra.multiply(leftCore, rightCore, {
    rows: coreRows,
    inner,
    columns: coreColumns,
    transposeRight: true,
  })
  values.set(algebra.singularValues(core, coreRows, coreColumns))
  return values
}
