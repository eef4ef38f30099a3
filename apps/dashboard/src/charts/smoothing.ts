/** Exponential moving average with bias correction, as TensorBoard draws it. Pure. */

/**
 * `weight` in [0, 1): 0 leaves values as they are. Values that are not finite are passed through and do not
 * enter the average, so that one NaN does not swallow the rest of a curve.
 */
export function smooth(values: ArrayLike<number>, weight: number): Float64Array {
  const smoothed = new Float64Array(values.length)
  let average = 0
  let correction = 1
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!
    if (!Number.isFinite(value)) {
      smoothed[index] = value
      continue
    }
    average = weight * average + (1 - weight) * value
    correction *= weight
    smoothed[index] = average / (1 - correction)
  }
  return smoothed
}
