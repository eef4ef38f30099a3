/**
 * Linear algebra in plain TypeScript, float64 inside, for machines without a BLAS/LAPACK.
 *
 * Usable up to matrices of about a thousand: a 512 x 512 SVD takes about a second. Loops run along rows, so that
 * memory is read in order.
 */
import { makeReflector, reflect } from './householder.ts'
import type { FloatArray, LinearAlgebra, MultiplyShape, ThinSvd } from './linear-algebra.ts'
import { assertFinite, leadingColumns, sameType, transpose } from './matrix.ts'
import { bidiagonalSvd } from './portable-svd.ts'

export function createPortable(): LinearAlgebra {
  return {
    name: 'portable',
    description: 'portable TypeScript, one thread',
    setThreads: () => 1,
    svd,
    singularValues,
    qr,
    multiply,
    gram: (a, rows, columns) => multiply(a, a, { rows, inner: columns, columns: rows, transposeRight: true }),
    topEigen,
  }
}

function svd<A extends FloatArray>(a: A, rows: number, columns: number): ThinSvd<A> {
  assertFinite(a, rows, columns)
  const { u, s, v } = svdInDouble(Float64Array.from(a), rows, columns)
  const like = (values: Float64Array): A => {
    if (a instanceof Float64Array) return values as FloatArray as A
    const rounded = sameType(a, values.length)
    rounded.set(values)
    return rounded
  }
  return { u: like(u), s: like(s), v: like(v) }
}

function svdInDouble(a: Float64Array, rows: number, columns: number): ThinSvd {
  if (rows < columns) {
    const { u, s, v } = svdInDouble(transpose(a, rows, columns), columns, rows)
    return { u: v, s, v: u }
  }
  if (rows < 1.5 * columns) {
    const { ut, s, vt } = bidiagonalSvd(a, rows, columns, true)
    return { u: transpose(ut, columns, rows), s, v: transpose(vt, columns, columns) }
  }
  // Tall: reduce to the square factor first (Chan 1982).
  const { q, r } = qr(a, rows, columns)
  const core = svdInDouble(r, columns, columns)
  return { u: multiply(q, core.u, { rows, inner: columns, columns }), s: core.s, v: core.v }
}

function singularValues(a: FloatArray, rows: number, columns: number): Float64Array {
  assertFinite(a, rows, columns)
  const [tall, m, n] =
    rows < columns
      ? [transpose(Float64Array.from(a), rows, columns), columns, rows]
      : [Float64Array.from(a), rows, columns]
  if (m < 1.5 * n) return bidiagonalSvd(tall, m, n, false).s
  return bidiagonalSvd(qr(tall, m, n).r, n, n, false).s
}

/** Householder QR. Reflector k is stored in row k of `reflectors`, entries k to rows - 1, scaled to v.v = 2. */
function qr(a: Float64Array, rows: number, columns: number) {
  assertFinite(a, rows, columns)
  const d = Math.min(rows, columns)
  const r = a.slice()
  const reflectors = new Float64Array(d * rows)
  const projection = new Float64Array(columns)
  for (let k = 0; k < d; k++) {
    const v = reflectors.subarray(k * rows, (k + 1) * rows)
    for (let i = k; i < rows; i++) v[i] = r[i * columns + k]!
    if (!makeReflector(v, k)) continue
    projection.fill(0)
    for (let i = k; i < rows; i++) {
      const factor = v[i]!
      for (let j = k, at = i * columns + k; j < columns; j++, at++) projection[j]! += factor * r[at]!
    }
    for (let i = k; i < rows; i++) {
      const factor = v[i]!
      for (let j = k, at = i * columns + k; j < columns; j++, at++) r[at]! -= factor * projection[j]!
    }
  }
  // Rows of `qt` are the columns of q: reflectors applied to the identity, last one first.
  const qt = new Float64Array(d * rows)
  for (let k = d - 1; k >= 0; k--) {
    qt[k * rows + k] = 1
    const v = reflectors.subarray(k * rows, (k + 1) * rows)
    for (let j = k; j < d; j++) reflect(v, qt.subarray(j * rows, (j + 1) * rows), k)
  }
  const upper = new Float64Array(d * columns)
  for (let i = 0; i < d; i++) upper.set(r.subarray(i * columns + i, (i + 1) * columns), i * columns + i)
  return { q: transpose(qt, d, rows), r: upper }
}

function multiply(left: Float64Array, right: Float64Array, shape: MultiplyShape): Float64Array {
  const { rows, inner, columns } = shape
  const a = shape.transposeLeft ? transpose(left, inner, rows) : left
  const b = shape.transposeRight ? transpose(right, columns, inner) : right
  const product = new Float64Array(rows * columns)
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k]!
      if (factor === 0) continue
      for (let j = 0, at = i * columns, from = k * columns; j < columns; j++, at++, from++) {
        product[at]! += factor * b[from]!
      }
    }
  }
  return product
}

/** For a positive semidefinite matrix the left singular vectors are the eigenvectors. */
function topEigen(symmetric: Float64Array, order: number, count: number) {
  const { u, s } = svd(symmetric, order, order)
  return { values: s.slice(0, count), vectors: leadingColumns(u, order, order, count) }
}
