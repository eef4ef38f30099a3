/**
 * What few repetitions allow to be said: means with Student’s intervals, and paired differences over seeds. Pure, float64.
 * Source of the interval: Student 1908; with n seeds the factor is the t quantile of n − 1 degrees of freedom, which for
 * three seeds is 4.30 and not 1.96.
 */

export type Estimate = {
  n: number
  mean: number
  /** Sample standard deviation (n − 1); null with one value. */
  deviation: number | null
  /** Half the width of the 95 % confidence interval of the mean; null with one value. */
  halfWidth: number | null
}

/** null where there is nothing to average. Values must be finite. */
export function estimate(values: readonly number[]): Estimate | null {
  const n = values.length
  if (n === 0) return null
  const mean = values.reduce((sum, value) => sum + value, 0) / n
  if (n === 1) return { n, mean, deviation: null, halfWidth: null }
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const deviation = Math.sqrt(squares / (n - 1))
  return { n, mean, deviation, halfWidth: (studentQuantile(0.975, n - 1) * deviation) / Math.sqrt(n) }
}

/**
 * a − b over the keys that both have (seeds): what varies with the seed alone cancels. null where they share none.
 * `pValue` is two-sided, of the paired t test; null with one pair, and where every difference is the same.
 */
export function pairedDifference(
  a: ReadonlyMap<string, number>,
  b: ReadonlyMap<string, number>,
): (Estimate & { pValue: number | null }) | null {
  const differences = [...a].flatMap(([key, value]) => {
    const other = b.get(key)
    return other === undefined ? [] : [value - other]
  })
  const found = estimate(differences)
  if (!found) return null
  const { n, mean, deviation } = found
  if (deviation === null || deviation === 0) return { ...found, pValue: null }
  return { ...found, pValue: 2 * (1 - studentCdf(Math.abs(mean) / (deviation / Math.sqrt(n)), n - 1)) }
}

/** P(T ≤ t) for Student’s t with `degrees` > 0 degrees of freedom. */
export function studentCdf(t: number, degrees: number): number {
  const tail = incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2
  return t >= 0 ? 1 - tail : tail
}

/** The t with P(T ≤ t) = p, for 0 < p < 1, by bisection: to the last bits that the function has. */
export function studentQuantile(p: number, degrees: number): number {
  if (p === 0.5) return 0
  if (p < 0.5) return -studentQuantile(1 - p, degrees)
  let high = 1
  while (studentCdf(high, degrees) < p) high *= 2
  let low = 0
  for (let round = 0; round < 200 && high - low > Number.EPSILON * high; round++) {
    const middle = (low + high) / 2
    if (studentCdf(middle, degrees) < p) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** Regularised incomplete beta function I_x(a, b), by Lentz’s method on its continued fraction (DLMF 8.17.22). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  // The fraction converges fast on one side of the mean; the other follows by symmetry.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a)
  const front =
    Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a
  const tiny = 1e-300
  let c = 1
  let d = 1 / away(1 - ((a + b) * x) / (a + 1))
  let fraction = d
  for (let m = 1; m < 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / away(1 + even * d)
    c = away(1 + even / c)
    fraction *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / away(1 + odd * d)
    c = away(1 + odd / c)
    const factor = d * c
    fraction *= factor
    if (Math.abs(factor - 1) < 1e-16) break
  }
  return front * fraction

  function away(value: number): number {
    return Math.abs(value) < tiny ? tiny : value
  }
}

/** ln Γ(x) for x > 0: Stirling’s series after the argument was raised to 12 or more; about 1e-15 relative. */
function logGamma(x: number): number {
  let shift = 0
  let y = x
  while (y < 12) {
    shift -= Math.log(y)
    y++
  }
  const inverse = 1 / (y * y)
  const series =
    (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188)))) / y
  return shift + (y - 0.5) * Math.log(y) - y + Math.log(2 * Math.PI) / 2 + series
}

/** Spearman’s rank correlation, ties at their mean rank; null with fewer than three pairs, or where one side never changes. */
export function spearman(pairs: readonly (readonly [number, number])[]): number | null {
  if (pairs.length < 3) return null
  const [left, right] = [ranks(pairs.map(([x]) => x)), ranks(pairs.map(([, y]) => y))]
  const middle = (pairs.length + 1) / 2
  let [product, squaresLeft, squaresRight] = [0, 0, 0]
  for (const [index, rank] of left.entries()) {
    const [x, y] = [rank - middle, right[index]! - middle]
    product += x * y
    squaresLeft += x * x
    squaresRight += y * y
  }
  return squaresLeft === 0 || squaresRight === 0 ? null : product / Math.sqrt(squaresLeft * squaresRight)
}

function ranks(values: readonly number[]): number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length
    const equal = values.filter((other) => other === value).length
    return below + (equal + 1) / 2
  })
}
