/** Mean and spread of several runs of one configuration, for instance with different seeds. Pure. */

export type Band = { x: Float64Array; mean: Float64Array; low: Float64Array; high: Float64Array }

export type BandMember = { steps: ArrayLike<number>; x: ArrayLike<number>; y: ArrayLike<number> }

/**
 * Aligned on the first member’s steps, as far as every member has come; other members are interpolated
 * linearly. low and high are one standard deviation (n − 1) around the mean.
 */
export function meanBand(members: readonly BandMember[]): Band {
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
  kept.forEach((index, position) => {
    const step = first.steps[index]!
    const values = members.map((member) => interpolate(member.steps, member.y, step))
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    const deviation = values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0
    band.mean[position] = mean
    band.low[position] = mean - deviation
    band.high[position] = mean + deviation
  })
  return band
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
