/** The range of an axis that shows given values: round them with a margin, and never claim a spread that is not there. Pure. */

export type Range = readonly [min: number, max: number]

/** Smallest and largest of the finite numbers (above zero, on a logarithmic axis); null where there is none. */
export function extentOf(lists: Iterable<ArrayLike<number>>, log: boolean): Range | null {
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  for (const list of lists) {
    for (let index = 0; index < list.length; index++) {
      const value = list[index]!
      if (!Number.isFinite(value) || (log && value <= 0)) continue
      if (value < min) min = value
      if (value > max) max = value
    }
  }
  return min <= max ? [min, max] : null
}

/**
 * The extent with a twentieth added on each side. A constant is given a tenth of itself, so that a learning rate of
 * 2e-5 does not look like the zero of an axis from −1 to 1. `fromZero` begins a linear axis at zero.
 */
export function rangeAround(extent: Range | null, options: { log: boolean; fromZero?: boolean }): Range {
  if (options.log) {
    if (!extent) return [0.1, 10]
    const [low, high] = [Math.log10(extent[0]), Math.log10(extent[1])]
    const margin = high > low ? 0.05 * (high - low) : 0.3
    return [10 ** (low - margin), 10 ** (high + margin)]
  }
  if (!extent) return [0, 1]
  const [min, max] = options.fromZero ? [Math.min(0, extent[0]), Math.max(0, extent[1])] : extent
  const margin = max > min ? 0.05 * (max - min) : 0.1 * Math.abs(max) || 0.5
  // Numbers that differ in their last bits only: the margin must not vanish.
  const least = 4 * Number.EPSILON * Math.max(Math.abs(min), Math.abs(max))
  const added = Math.max(margin, least)
  return [options.fromZero && min === 0 ? 0 : min - added, options.fromZero && max === 0 ? 0 : max + added]
}
