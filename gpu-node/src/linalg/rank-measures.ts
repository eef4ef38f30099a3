/**
 * How many directions an update uses: measures of a spectrum, each a pure function.
 *
 * Every function takes singular values in descending order, all of them (d = min(rows, columns), zeros
 * included). A spectrum of zeros (or an empty one) has measure 0; a spectrum that holds NaN or infinity has
 * measure NaN. All but the absolute numerical rank are unchanged when the matrix is scaled.
 */
import type { RankMeasures, TailRatioPlace } from '@rankscope/protocol'

type Spectrum = ArrayLike<number>

export const float32Epsilon = 2 ** -23
export const float64Epsilon = 2 ** -52

/** The measures that every spectrum record carries. */
export function rankMeasures(s: Spectrum, shape: { rows: number; columns: number }): RankMeasures {
  const relative = (epsilon: number) => relativeThreshold(s, shape, epsilon)
  return {
    numericalRank: numericalRank(s, relative(float32Epsilon)),
    numericalRankThreshold: relative(float32Epsilon),
    numericalRankFloat64: numericalRank(s, relative(float64Epsilon)),
    energyRank90: energyRank(s, 0.9),
    energyRank99: energyRank(s, 0.99),
    effectiveRank: effectiveRank(s),
    spectralEntropyRank: spectralEntropyRank(s),
    stableRank: stableRank(s),
    participationRatio: participationRatio(s),
  }
}

/**
 * tau = max(m, n) * epsilon * s_1, the convention of MATLAB's `rank` and NumPy's `matrix_rank`.
 * With float32's epsilon it hides small genuine directions; with float64's it calls a float32-merged
 * low-rank update full rank, since merging rounds.
 */
export function relativeThreshold(
  s: Spectrum,
  shape: { rows: number; columns: number },
  epsilon: number,
): number {
  if (!allFinite(s)) return Number.NaN
  return Math.max(shape.rows, shape.columns) * epsilon * (s[0] ?? 0)
}

/** #{ s_i > threshold }. Absolute thresholds: HiRA (Huang et al. 2025), Fig. 4, counts s_i > 0.005. */
export function numericalRank(s: Spectrum, threshold: number): number {
  if (!allFinite(s) || Number.isNaN(threshold)) return Number.NaN
  let count = 0
  while (count < s.length && s[count]! > threshold) count++
  return count
}

/** The smallest k with sum_{i <= k} s_i² >= share * sum s_i². */
export function energyRank(s: Spectrum, share: number): number {
  const p = squaresOfNormalised(s)
  if (!p) return undefinedMeasure(s)
  const wanted = share * sum(p)
  let energy = 0
  for (let k = 0; k < p.length; k++) {
    energy += p[k]!
    if (energy >= wanted) return k + 1
  }
  return p.length
}

/**
 * Entropy effective rank exp(-sum p_i ln p_i), p_i = s_i / sum s, 0 ln 0 = 0: Roy and Vetterli, "The effective
 * rank: a measure of effective dimensionality", EUSIPCO 2007; also HiRA, Fig. 8. Between 1 and the rank; a long
 * tail of noise inflates it (see `clipBelow`).
 */
export function effectiveRank(s: Spectrum): number {
  const scaled = normalised(s)
  return scaled ? exponentialEntropy(scaled) : undefinedMeasure(s)
}

/** The same entropy with p_i = s_i² / sum s²: the shares of energy rather than of length. */
export function spectralEntropyRank(s: Spectrum): number {
  const squares = squaresOfNormalised(s)
  return squares ? exponentialEntropy(squares) : undefinedMeasure(s)
}

/** ||W||_F² / s_1² (Rudelson and Vershynin 2007): at most the rank, dominated by the largest value. */
export function stableRank(s: Spectrum): number {
  const squares = squaresOfNormalised(s)
  return squares ? sum(squares) : undefinedMeasure(s)
}

/** (sum s_i²)² / sum s_i⁴: the participation ratio of the eigenvalues of WᵀW. */
export function participationRatio(s: Spectrum): number {
  const squares = squaresOfNormalised(s)
  return squares ? participation(squares) : undefinedMeasure(s)
}

/** (sum s_i)² / sum s_i²: the squared ratio of nuclear to Frobenius norm. */
export function participationRatioOfValues(s: Spectrum): number {
  const scaled = normalised(s)
  return scaled ? participation(scaled) : undefinedMeasure(s)
}

/**
 * median(s_{q+1..d}) / s_q: how far the spectrum falls beyond q (q = r, 2r, Kr, 2Kr). Of an even number of values the
 * lower middle one, as torch.median takes. NaN where there is nothing to compare: q < 1, q >= d, or s_q = 0.
 */
export function tailRatio(s: Spectrum, q: number): number {
  if (!allFinite(s) || q < 1 || q >= s.length || s[q - 1] === 0) return Number.NaN
  const median = s[q + Math.floor((s.length - q) / 2)]!
  return median / s[q - 1]!
}

/** The tail ratios at the ranks that theory marks for a method, by the names of their measures. */
export function tailRatios(s: Spectrum, places: readonly TailRatioPlace[]): Partial<RankMeasures> {
  return Object.fromEntries(places.map(({ measure, rank }) => [measure, tailRatio(s, rank)]))
}

/** The spectrum with values below `floor` set to zero, to report a measure without the noise beside it. */
export function clipBelow(s: Spectrum, floor: number): Float64Array {
  return Float64Array.from(s, (value) => (value < floor ? 0 : value))
}

/**
 * Standard deviation of one float32 rounding of the entries of `w`: ulp / sqrt(12), in root mean square over the
 * entries (about 5.4e-10 for |w| near 0.02).
 */
export function float32RoundingDeviation(w: ArrayLike<number>): number {
  let total = 0
  for (let i = 0; i < w.length; i++) {
    const magnitude = Math.abs(w[i]!)
    if (magnitude === 0) continue
    total += (2 ** Math.floor(Math.log2(magnitude)) * float32Epsilon) ** 2
  }
  return w.length === 0 ? 0 : Math.sqrt(total / w.length / 12)
}

/**
 * The largest singular value of independent noise: deviation * sqrt(roundings) * (sqrt m + sqrt n). `roundings` is 1
 * for one merge and the number of steps for in-place float32 updates, whose errors add up as a random walk.
 */
export function noiseFloor(
  deviation: number,
  shape: { rows: number; columns: number },
  roundings = 1,
): number {
  return deviation * Math.sqrt(roundings) * (Math.sqrt(shape.rows) + Math.sqrt(shape.columns))
}

function allFinite(s: Spectrum): boolean {
  for (let i = 0; i < s.length; i++) if (!Number.isFinite(s[i])) return false
  return true
}

/** s / s_1, so that squares and fourth powers neither overflow nor underflow; null for a zero or unusable one. */
function normalised(s: Spectrum): Float64Array | null {
  const first = s[0] ?? 0
  if (first === 0 || !allFinite(s)) return null
  return Float64Array.from(s, (value) => value / first)
}

function squaresOfNormalised(s: Spectrum): Float64Array | null {
  return normalised(s)?.map((value) => value * value) ?? null
}

function undefinedMeasure(s: Spectrum): number {
  return allFinite(s) ? 0 : Number.NaN
}

function exponentialEntropy(weights: Float64Array): number {
  const total = sum(weights)
  let entropy = 0
  for (const weight of weights) if (weight > 0) entropy -= (weight / total) * Math.log(weight / total)
  return Math.exp(entropy)
}

function participation(weights: Float64Array): number {
  return sum(weights) ** 2 / sum(weights.map((weight) => weight * weight))
}

function sum(values: Float64Array): number {
  let total = 0
  for (const value of values) total += value
  return total
}
