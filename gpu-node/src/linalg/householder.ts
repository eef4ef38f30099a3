/** Householder reflectors I - v vᵀ with v.v = 2, on contiguous float64 vectors. */

/**
 * Overwrites x[from..] by v with v.v = 2 such that (I - v vᵀ) x is a multiple of e_from; false (and zeros) when
 * x is zero there.
 */
export function makeReflector(x: Float64Array, from: number): boolean {
  let largest = 0
  for (let i = from; i < x.length; i++) largest = Math.max(largest, Math.abs(x[i]!))
  if (largest === 0) return false
  let sum = 0
  for (let i = from; i < x.length; i++) {
    x[i]! /= largest
    sum += x[i]! * x[i]!
  }
  const norm = Math.sqrt(sum)
  const head = x[from]!
  x[from] = head + (head < 0 ? -norm : norm)
  const scale = 1 / Math.sqrt(norm * (norm + Math.abs(head)))
  for (let i = from; i < x.length; i++) x[i]! *= scale
  return true
}

/** y := (I - v vᵀ) y on the entries from `from` on. */
export function reflect(v: Float64Array, y: Float64Array, from: number): void {
  let dot = 0
  for (let i = from; i < y.length; i++) dot += v[i]! * y[i]!
  for (let i = from; i < y.length; i++) y[i]! -= dot * v[i]!
}
