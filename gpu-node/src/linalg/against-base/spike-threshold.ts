/**
 * How strong a new direction has to be before it leaves the bulk of W0's spectrum as a singular value of its own:
 * Benaych-Georges and Nadakuditi 2012 ("The singular values and vectors of low rank perturbations of large rectangular
 * random matrices", Theorem 2.8), used for fine-tuning by arXiv 2607.23711. For a spectrum s of a matrix with sides p <= q,
 * c = p/q, and an edge b above it: phi(z) = mean_i z / (z² - s_i²), D(z) = phi(z) (c phi(z) + (1 - c) / z),
 * threshold = D(b)^(-1/2).
 *
 * The theorem is about the edge of a limit; a finite spectrum needs one beside its largest value, half a mean gap above.
 */

export interface SpikeThreshold {
  /** Leading singular values that are taken for outliers and left out. */
  readonly outliers: number
  /** Just above the largest of the others. */
  readonly edge: number
  /** σ₁ of an independent spike that would just leave the bulk. */
  readonly threshold: number
}

const gaps = 10
/** Fewer values give no bulk to speak of. */
const fewestValues = 12

/**
 * At σ₁, and below the outliers where there are any: values above Tukey's fence Q3 + 1.5 (Q3 - Q1).
 * `s` descending; empty where there are too few values or no gap. `longSide`: q.
 */
export function spikeThresholds(s: Float64Array, longSide: number): SpikeThreshold[] {
  const counts = new Set([0, outliersOf(s)])
  return [...counts].flatMap((outliers) => thresholdBelow(s, longSide, outliers) ?? [])
}

function thresholdBelow(s: Float64Array, longSide: number, outliers: number): SpikeThreshold | null {
  const bulk = s.subarray(outliers)
  if (bulk.length < fewestValues) return null
  const edge = bulk[0]! + (bulk[0]! - bulk[gaps]!) / gaps / 2
  if (!(edge > bulk[0]!)) return null
  let sum = 0
  for (const value of bulk) sum += edge / ((edge - value) * (edge + value))
  const phi = sum / bulk.length
  const ratio = bulk.length / longSide
  return { outliers, edge, threshold: (phi * (ratio * phi + (1 - ratio) / edge)) ** -0.5 }
}

function outliersOf(s: Float64Array): number {
  const at = (share: number) => s[Math.min(s.length - 1, Math.floor(share * s.length))]!
  const [upper, lower] = [at(0.25), at(0.75)]
  const fence = upper + 1.5 * (upper - lower)
  let count = 0
  while (count < s.length && s[count]! > fence) count++
  return count
}
