/** Fewer points than a chart can show anyway, without losing an extreme. Pure. */

export type Envelope = {
  /** Index (into the input) of each bucket’s last point. */
  index: Int32Array
  /** Extremes of the finite values; NaN where a bucket has none. */
  low: Float64Array
  high: Float64Array
  /** 1 where the bucket has an infinity of that sign. */
  below: Uint8Array
  above: Uint8Array
  /** The sum of another column over each bucket. */
  sum: (column: ArrayLike<number>) => Float64Array
}

/** Join neighbours into at most `buckets` buckets; each keeps its finite extremes, and says where there are infinities. */
export function envelope(low: ArrayLike<number>, high: ArrayLike<number>, buckets: number): Envelope {
  const length = low.length
  const count = Math.min(length, Math.max(1, buckets))
  const result: Envelope = {
    index: new Int32Array(count),
    low: new Float64Array(count).fill(Number.NaN),
    high: new Float64Array(count).fill(Number.NaN),
    below: new Uint8Array(count),
    above: new Uint8Array(count),
    sum: (column) => {
      const sums = new Float64Array(count)
      let from = 0
      for (let bucket = 0; bucket < count; bucket++)
        for (; from <= result.index[bucket]!; from++) sums[bucket]! += column[from]!
      return sums
    },
  }
  for (let bucket = 0; bucket < count; bucket++) {
    const start = Math.floor((bucket * length) / count)
    const end = Math.floor(((bucket + 1) * length) / count)
    result.index[bucket] = end - 1
    for (let index = start; index < end; index++) {
      const smallest = low[index]!
      const largest = high[index]!
      if (smallest === Number.NEGATIVE_INFINITY) result.below[bucket] = 1
      if (largest === Number.POSITIVE_INFINITY) result.above[bucket] = 1
      if (Number.isFinite(smallest) && !(result.low[bucket]! <= smallest)) result.low[bucket] = smallest
      if (Number.isFinite(largest) && !(result.high[bucket]! >= largest)) result.high[bucket] = largest
    }
  }
  return result
}
