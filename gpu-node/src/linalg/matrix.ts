/** Helpers on row-major matrices that every part of the linear algebra shares. */
import { RankscopeError } from '@rankscope/protocol'
import type { FloatArray } from './linear-algebra.ts'

/** aᵀ [columns, rows] of a [rows, columns], in blocks that stay in the cache. */
export function transpose<A extends FloatArray>(a: A, rows: number, columns: number): A {
  const result = sameType(a, rows * columns)
  const block = 32
  for (let top = 0; top < rows; top += block) {
    const bottom = Math.min(rows, top + block)
    for (let left = 0; left < columns; left += block) {
      const right = Math.min(columns, left + block)
      for (let i = top; i < bottom; i++) {
        for (let j = left; j < right; j++) result[j * rows + i] = a[i * columns + j]!
      }
    }
  }
  return result
}

/** Copies the lower triangle of a [order, order] onto the upper one, in blocks that stay in the cache. */
export function mirrorLower(a: FloatArray, order: number): void {
  const block = 32
  for (let top = 0; top < order; top += block) {
    const bottom = Math.min(order, top + block)
    for (let left = 0; left <= top; left += block) {
      for (let i = top; i < bottom; i++) {
        const right = Math.min(i, left + block)
        for (let j = left; j < right; j++) a[j * order + i] = a[i * order + j]!
      }
    }
  }
}

/** The first `count` columns of a [rows, columns]. */
export function leadingColumns<A extends FloatArray>(a: A, rows: number, columns: number, count: number): A {
  if (count === columns) return a
  const result = sameType(a, rows * count)
  for (let i = 0; i < rows; i++) result.set(a.subarray(i * columns, i * columns + count), i * count)
  return result
}

/**
 * Singular vectors are defined up to a common sign of each pair (u_j, v_j): chooses, in place, the one in which
 * the entry of u_j with the largest magnitude (the first of them) is positive.
 */
export function canonicalSigns(
  u: FloatArray,
  rows: number,
  v: FloatArray,
  columns: number,
  count: number,
): void {
  for (let j = 0; j < count; j++) {
    let largest = 0
    for (let i = 0; i < rows; i++) {
      const value = u[i * count + j]!
      if (Math.abs(value) > Math.abs(largest)) largest = value
    }
    if (largest >= 0) continue
    for (let i = 0; i < rows; i++) u[i * count + j] = -u[i * count + j]!
    for (let i = 0; i < columns; i++) v[i * count + j] = -v[i * count + j]!
  }
}

/** Refuses NaN and infinity, naming the first such entry; decompositions would hang or return rubbish. */
export function assertFinite(a: FloatArray, rows: number, columns: number): void {
  assertSize(a, rows, columns)
  // One pass over the sum: any entry that is not finite makes it so; only then look for the place.
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * 0
  if (sum === 0) return
  const place = a.findIndex((value) => !Number.isFinite(value))
  const [row, column] = [Math.floor(place / columns), place % columns]
  throw new RankscopeError(
    'NUMERIC',
    `A ${rows} x ${columns} matrix holds ${a[place]} at row ${row}, column ${column}.`,
    {
      hint: 'Weights that are not finite come from a run that diverged: try a lower learning rate or gradient clipping.',
    },
  )
}

/** Native code would read beyond the end; a buffer that was handed to another thread has length 0. */
export function assertSize(a: FloatArray, rows: number, columns: number): void {
  if (a.length === rows * columns) return
  throw new RankscopeError('INTERNAL', `A matrix of ${a.length} entries was given as ${rows} x ${columns}.`)
}

/** ‖x‖₂, or ‖X‖_F of a matrix; scaled, so that tiny updates do not underflow when squared. */
export function euclideanNorm(values: Float64Array): number {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  if (largest === 0) return 0
  return largest * Math.sqrt(values.reduce((total, value) => total + (value / largest) ** 2, 0))
}

export function nonConvergence(rows: number, columns: number): RankscopeError {
  return new RankscopeError(
    'NUMERIC',
    `The decomposition of a ${rows} x ${columns} matrix did not converge.`,
    {
      hint: 'Check that the weights have sensible magnitudes; extreme scales near overflow or underflow do this.',
    },
  )
}

export function sameType<A extends FloatArray>(like: A, length: number): A {
  return (like instanceof Float64Array ? new Float64Array(length) : new Float32Array(length)) as A
}
