/** Sums over host memory, in float64. */

/** Σ x² from `start` up to `end`, in two sums: an addition need not wait for the one before it. */
export function squaresOf(values: Float32Array, start: number, end: number): number {
  let even = 0
  let odd = 0
  for (let i = start + 1; i < end; i += 2) {
    even += values[i - 1]! * values[i - 1]!
    odd += values[i]! * values[i]!
  }
  return (end - start) % 2 === 0 ? even + odd : even + odd + values[end - 1]! * values[end - 1]!
}
