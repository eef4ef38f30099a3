/** Fewer points than a chart can show anyway, without losing an extreme. Pure. */

export type Envelope = {
  /** Index (into the input) of each bucket’s last point. */
  index: Int32Array
  low: Float64Array
  high: Float64Array
}

/** Join neighbours into at most `buckets` buckets; each keeps its extremes. NaN counts only where a bucket has nothing else. */
export function envelope(low: ArrayLike<number>, high: ArrayLike<number>, buckets: number): Envelope {
  const length = low.length
  const count = Math.min(length, Math.max(1, buckets))
  const result: Envelope = {
    index: new Int32Array(count),
    low: new Float64Array(count).fill(Number.NaN),
    high: new Float64Array(count).fill(Number.NaN),
  }
  for (let bucket = 0; bucket < count; bucket++) {
    const start = Math.floor((bucket * length) / count)
    const end = Math.floor(((bucket + 1) * length) / count)
    result.index[bucket] = end - 1
    for (let index = start; index < end; index++) {
      const smallest = low[index]!
      const largest = high[index]!
      if (!(result.low[bucket]! <= smallest)) if (!Number.isNaN(smallest)) result.low[bucket] = smallest
      if (!(result.high[bucket]! >= largest)) if (!Number.isNaN(largest)) result.high[bucket] = largest
    }
  }
  return result
}
