/** Mean and 95 % band of several runs of one configuration, for instance with different seeds. Pure. */

export type Band = { x: Float64Array; mean: Float64Array; low: Float64Array; high: Float64Array }

export type BandMember = { steps: ArrayLike<number>; x: ArrayLike<number>; y: ArrayLike<number> }

/**
 * Aligned on the first member’s steps, as far as every member has come; other members are interpolated linearly. low
 * and high are the 95 % confidence interval of the mean, by Student’s t: mean ± t₀.₉₇₅(n − 1) s / √n. On a logarithmic
 * axis mean and interval are those of the logarithms (the geometric mean).
 */
export function meanBand(members: readonly BandMember[], log = false): Band {
  const first = members[0]!
  const end = Math.min(...members.map((member) => member.steps[member.steps.length - 1]!))
  const begin = Math.max(...members.map((member) => member.steps[0]!))
  const kept = Array.from({ length: first.steps.length }, (_, index) => index).filter(
    (index) => first.steps[index]! >= begin && first.steps[index]! <= end,
  )
  const size = kept.length
  const band: Band = {
    x: Float64Array.from(kept, (index) => first.x[index]!),
    mean: new Float64Array(size),
    low: new Float64Array(size),
    high: new Float64Array(size),
  }
  const [to, from] = log ? [Math.log, Math.exp] : [identity, identity]
  kept.forEach((index, position) => {
    const step = first.steps[index]!
    const { mean, halfWidth } = meanInterval(
      members.map((member) => to(interpolate(member.steps, member.y, step))),
    )
    band.mean[position] = from(mean)
    band.low[position] = from(mean - halfWidth)
    band.high[position] = from(mean + halfWidth)
  })
  return band
}

/** Mean and half the width of its 95 % confidence interval; 0 for a single value, of which nothing is known. */
export function meanInterval(values: readonly number[]): { mean: number; halfWidth: number } {
  const count = values.length
  const mean = values.reduce((sum, value) => sum + value, 0) / count
  if (count < 2) return { mean, halfWidth: 0 }
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, halfWidth: student(count - 1) * Math.sqrt(squares / (count - 1) / count) }
}

/** The 0.975 quantile of Student’s t (Abramowitz & Stegun 26.7.5 beyond 10 degrees of freedom, to 4 digits). */
export function student(freedom: number): number {
  const table = [12.706, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281]
  const known = table[freedom - 1]
  if (known !== undefined) return known
  const z = 1.959964
  const n = freedom
  return (
    z +
    (z ** 3 + z) / (4 * n) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * n ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * n ** 3)
  )
}

function identity(value: number): number {
  return value
}

/** y at `step`, which lies within the steps (ascending). */
function interpolate(steps: ArrayLike<number>, y: ArrayLike<number>, step: number): number {
  let low = 0
  let high = steps.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (steps[middle]! < step) low = middle + 1
    else high = middle
  }
  const x1 = steps[low]!
  if (low === 0 || x1 === step) return y[low]!
  const x0 = steps[low - 1]!
  return y[low - 1]! + ((step - x0) / (x1 - x0)) * (y[low]! - y[low - 1]!)
}
