/**
 * The leading singular triplets of a weight: what PiSSA and HD-PiSSA start from.
 *
 * W [m, n] = U diag(S) Vᵀ; the results are u [m, rank], s [rank], v [n, rank], computed in float64, with canonical
 * signs. Orthonormality of u and v is enforced by QR, so that slices of them stay mutually orthogonal.
 */
import { RankscopeError } from '@rankscope/protocol'
import { Random } from '../random.ts'
import type { FloatArray, LinearAlgebra } from './linear-algebra.ts'
import { assertFinite, canonicalSigns, leadingColumns, transpose } from './matrix.ts'

export interface TopSvdOptions {
  /**
   * full: to float64 accuracy, whatever the spectrum. randomized: subspace iteration on a random sketch; cheaper
   * where rank is much smaller than the matrix, exact only where the spectrum falls off after the rank.
   */
  readonly kind: 'full' | 'randomized'
  /** randomized: passes of the subspace iteration, 4 to 16 are usual. */
  readonly iterations?: number
  /** randomized: extra columns of the sketch; default max(16, rank / 10). */
  readonly oversample?: number
  /** randomized: seed of the sketch. */
  readonly seed?: number
}

export interface TopSvd {
  readonly u: Float64Array
  readonly s: Float64Array
  readonly v: Float64Array
}

export const defaultIterations = 16

/** Below this share of s_1 the squared spectrum of the Gram matrix no longer resolves a value (see `viaGram`). */
const gramResolution = 1e-3

/** Errors: RANK_TOO_LARGE, NUMERIC. `checkpoint` is called between stages and may throw to give up. */
export function topSvd(
  algebra: LinearAlgebra,
  w: FloatArray,
  shape: { rows: number; columns: number; rank: number },
  options: TopSvdOptions,
  checkpoint: () => void = () => undefined,
): TopSvd {
  const { rows, columns, rank } = shape
  refuseRank(rows, columns, rank)
  assertFinite(w, rows, columns)
  // The shorter side comes first from here on: a [p, q], p <= q.
  const swap = rows > columns
  const a = Float64Array.from(swap ? transpose(w, rows, columns) : w)
  const [p, q] = swap ? [columns, rows] : [rows, columns]
  const top =
    options.kind === 'full'
      ? (viaGram(algebra, a, p, q, rank, checkpoint) ?? viaFullSvd(algebra, a, p, q, rank))
      : viaSketch(algebra, a, p, q, rank, options, checkpoint)
  const [u, v] = swap ? [top.v, top.u] : [top.u, top.v]
  canonicalSigns(u, rows, v, columns, rank)
  return { u, s: top.s, v }
}

/** The refusal, for callers that want to check before any work is done. */
export function refuseRank(rows: number, columns: number, rank: number): void {
  if (Number.isInteger(rank) && rank >= 1 && rank <= Math.min(rows, columns)) return
  throw new RankscopeError('RANK_TOO_LARGE', `Rank ${rank} asked of a ${rows} x ${columns} matrix.`, {
    hint: `Choose between 1 and ${Math.min(rows, columns)}; HD-PiSSA needs devices x rank to fit.`,
  })
}

/**
 * Leading eigenvectors of a aᵀ, then one exact step on a itself: aᵀ U0 = Q R, Rᵀ = X S Yᵀ, u = U0 X, v = Q Y.
 *
 * The Gram matrix squares the spectrum: the error of its eigenvectors is about eps (s_1 / s_k)², which the exact step
 * squares again in the singular values. Null where s_rank is too small beside s_1 for that to be harmless.
 */
function viaGram(
  algebra: LinearAlgebra,
  a: Float64Array,
  p: number,
  q: number,
  rank: number,
  checkpoint: () => void,
): TopSvd | null {
  const symmetric = algebra.gram(a, p, q)
  checkpoint()
  const { values, vectors } = algebra.topEigen(symmetric, p, rank)
  if (!(values[rank - 1]! > gramResolution ** 2 * values[0]!)) return null
  checkpoint()
  const image = algebra.multiply(a, vectors, { rows: q, inner: p, columns: rank, transposeLeft: true })
  const { q: basis, r } = algebra.qr(image, q, rank)
  const core = algebra.svd(transpose(r, rank, rank), rank, rank)
  return {
    u: algebra.multiply(vectors, core.u, { rows: p, inner: rank, columns: rank }),
    s: core.s,
    v: algebra.multiply(basis, core.v, { rows: q, inner: rank, columns: rank }),
  }
}

function viaFullSvd(algebra: LinearAlgebra, a: Float64Array, p: number, q: number, rank: number): TopSvd {
  const { u, s, v } = algebra.svd(a, p, q)
  return { u: leadingColumns(u, p, p, rank), s: s.slice(0, rank), v: leadingColumns(v, q, p, rank) }
}

/**
 * Randomized subspace iteration, re-orthonormalised at each half step (Halko, Martinsson and Tropp 2011, algorithm
 * 4.4), and the SVD of the small projection. PEFT's `pissa_niter_k` does not oversample; this does, since HD-PiSSA needs
 * the right order at the edge of the rank.
 */
function viaSketch(
  algebra: LinearAlgebra,
  a: Float64Array,
  p: number,
  q: number,
  rank: number,
  options: TopSvdOptions,
  checkpoint: () => void,
): TopSvd {
  const oversample = options.oversample ?? Math.max(16, Math.ceil(rank / 10))
  const width = Math.min(p, rank + oversample)
  const sketch = new Random(options.seed ?? 0).fillNormal(new Float64Array(q * width))
  const forward = (x: Float64Array) => algebra.multiply(a, x, { rows: p, inner: q, columns: width })
  const backward = (x: Float64Array) =>
    algebra.multiply(a, x, { rows: q, inner: p, columns: width, transposeLeft: true })
  let left = algebra.qr(forward(sketch), p, width).q
  for (let pass = 0; pass < (options.iterations ?? defaultIterations); pass++) {
    checkpoint()
    const right = algebra.qr(backward(left), q, width).q
    left = algebra.qr(forward(right), p, width).q
  }
  // a is close to left leftᵀ a; leftᵀ a = (Q R)ᵀ, so that only Rᵀ [width, width] is decomposed.
  const { q: basis, r } = algebra.qr(backward(left), q, width)
  const core = algebra.svd(transpose(r, width, width), width, width)
  const u = leadingColumns(core.u, width, width, rank)
  const v = leadingColumns(core.v, width, width, rank)
  return {
    u: algebra.multiply(left, u, { rows: p, inner: width, columns: rank }),
    s: core.s.slice(0, rank),
    v: algebra.multiply(basis, v, { rows: q, inner: width, columns: rank }),
  }
}
