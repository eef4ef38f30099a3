/**
 * Charts of long series, pure. Completed stretches of 8, 64, 512, … steps are kept joined as buckets (a pyramid),
 * each with its extremes and its last point, so that a chart of a million points reads a few thousand rows and
 * still shows a spike of a single step. NaN points do not hide the extremes; they are counted.
 */

export const branching = 8
/** Widest bucket: 8⁵ = 32,768 steps. */
export const topLevel = 5
/** The pyramid grows in strides of this many steps; newer points are read singly. */
export const stride = branching ** 3

/** One or more neighbouring points of a series. A single point has min = max = last. */
export type Bucket = {
  /** Step and time of the last point. */
  step: number
  timeMs: number
  last: number
  /** Extremes of the points that are not NaN; NaN where all are. */
  min: number
  max: number
  count: number
  nanCount: number
}

export type Series = { name: string; total: number; buckets: Bucket[] }

export function bucketWidth(level: number): number {
  return branching ** level
}

export function singlePoint(step: number, value: number, timeMs: number): Bucket {
  return {
    step,
    timeMs,
    last: value,
    min: value,
    max: value,
    count: 1,
    nanCount: Number.isNaN(value) ? 1 : 0,
  }
}

/** Join neighbours, ascending by step; at least one. */
export function joinBuckets(buckets: readonly Bucket[]): Bucket {
  const joined = { ...buckets[0]! }
  for (const bucket of buckets.slice(1)) {
    joined.step = bucket.step
    joined.timeMs = bucket.timeMs
    joined.last = bucket.last
    if (Number.isNaN(joined.min) || bucket.min < joined.min) joined.min = bucket.min
    if (Number.isNaN(joined.max) || bucket.max > joined.max) joined.max = bucket.max
    joined.count += bucket.count
    joined.nanCount += bucket.nanCount
  }
  return joined
}

/** Buckets of one level from the points (or finer buckets) of whole stretches, ascending. */
export function buildLevel(finer: readonly Bucket[], level: number): { index: number; bucket: Bucket }[] {
  const width = bucketWidth(level)
  const groups = new Map<number, Bucket[]>()
  for (const bucket of finer) {
    const index = Math.floor(bucket.step / width)
    const group = groups.get(index)
    if (group) group.push(bucket)
    else groups.set(index, [bucket])
  }
  return [...groups].map(([index, group]) => ({ index, bucket: joinBuckets(group) }))
}

/** At most `limit` buckets: neighbours are joined in groups of equal size. */
export function limitBuckets(buckets: Bucket[], limit: number): Bucket[] {
  if (buckets.length <= limit) return buckets
  const size = Math.ceil(buckets.length / limit)
  const joined: Bucket[] = []
  for (let start = 0; start < buckets.length; start += size)
    joined.push(joinBuckets(buckets.slice(start, start + size)))
  return joined
}

/**
 * How many neighbours of each stretch (points, or buckets of its level) to join, so that all stretches together give at
 * most `limit`. Groups are counted from the beginning of their stretch.
 */
export function joinSize(stretches: readonly Stretch[], limit: number): number {
  const groups = (size: number) =>
    stretches.reduce(
      (sum, { level, from, to }) => sum + Math.ceil((to - from) / bucketWidth(level) / size),
      0,
    )
  const most = Math.max(...stretches.map(({ level, from, to }) => (to - from) / bucketWidth(level)))
  let size = 2
  while (groups(size) > limit && size < most) size++
  return size
}

/** The finest level that needs few enough rows for `limit` points over a span of steps. */
export function chooseLevel(spanSteps: number, limit: number): number {
  let level = 0
  while (level < topLevel && spanSteps / bucketWidth(level) > 4 * limit) level++
  return level
}

/** A half-open range of steps to read at one level; level 0 is the points themselves. */
export type Stretch = { level: number; from: number; to: number }

/**
 * Cover the steps [from, to) by whole buckets, as coarse as `level`, of the built part [0, builtTo), and by
 * finer ones or single points at its edges and after it. Ascending, without gap or overlap.
 */
export function coverRange(from: number, to: number, level: number, builtTo: number): Stretch[] {
  if (from >= to) return []
  if (level === 0) return [{ level: 0, from, to }]
  const width = bucketWidth(level)
  const first = Math.ceil(from / width) * width
  const end = Math.floor(Math.min(to, builtTo) / width) * width
  if (first >= end) return coverRange(from, to, level - 1, builtTo)
  return [
    ...coverRange(from, first, level - 1, builtTo),
    { level, from: first, to: end },
    ...coverRange(end, to, level - 1, builtTo),
  ]
}
