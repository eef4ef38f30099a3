/** Exponential moving average with bias correction, as TensorBoard draws it. Pure. */

/**
 * `weight` in [0, 1): 0 leaves values as they are. Values that are not finite are passed through and do not
 * enter the average, so that one NaN does not swallow the rest of a curve.
 *
 * A value may be the mean of several points that were joined (`counts`): it weighs as much as they would one by one,
 * so that how smooth a curve is does not depend on how many points of it are here.
 */
export function smooth(
  values: ArrayLike<number>,
  weight: number,
  counts: ArrayLike<number> | null = null,
): Float64Array {
  const smoothed = new Float64Array(values.length)
  let average = 0
  let correction = 1
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!
    if (!Number.isFinite(value)) {
      smoothed[index] = value
      continue
    }
    const kept = counts === null || counts[index] === 1 ? weight : weight ** counts[index]!
    average = kept * average + (1 - kept) * value
    correction *= kept
    smoothed[index] = average / (1 - correction)
  }
  return smoothed
}
