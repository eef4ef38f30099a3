/**
 * What the analyses need of a base weight W0 [m, n] (paper orientation: m inputs, n outputs), made once per module:
 * W0 = U0 diag(S0) V0ᵀ, the two places where a spike would leave the bulk, and the masks of principal and of small
 * entries.
 *
 * Papers write [out, in]: their left singular vectors are the output side here, V; their right ones the input side, U.
 */
import type { FloatArray, LinearAlgebra, ThinSvd } from '../linear-algebra.ts'
import { assertFinite, euclideanNorm } from '../matrix.ts'
import { type SpikeThreshold, spikeThresholds } from './spike-threshold.ts'
import { type EntryMasks, entryMasks } from './stored-change.ts'

export interface BaseDecomposition extends ThinSvd {
  readonly rows: number
  readonly columns: number
  /** W0 itself. */
  readonly w: FloatArray
  readonly frobenius: number
  readonly thresholds: readonly SpikeThreshold[]
  readonly masks: EntryMasks
}

/** `rank`: of the reconstruction whose largest entries are the principal ones. Errors: NUMERIC. */
export function decomposeBase(
  algebra: LinearAlgebra,
  w: FloatArray,
  shape: { rows: number; columns: number; rank: number },
): BaseDecomposition {
  const { rows, columns } = shape
  assertFinite(w, rows, columns)
  const { u, s, v } = algebra.svd(Float64Array.from(w), rows, columns)
  const base = { rows, columns, w, u, s, v }
  return {
    ...base,
    frobenius: euclideanNorm(s),
    thresholds: spikeThresholds(s, Math.max(rows, columns)),
    masks: entryMasks(algebra, base, Math.min(shape.rank, s.length)),
  }
}
