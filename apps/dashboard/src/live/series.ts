/**
 * One scalar of one run over its steps: history as the server sampled it, then every live point. Where
 * points were joined, `low` and `high` keep the extremes, so that a spike is never lost.
 */
import { GrowingArray } from './growing-array.ts'

/** More points than this are joined pairwise: 64 bytes a point, so a series stays below 2.1 MB. */
export const maximumPoints = 32_768

export type SeriesPoints = {
  steps: ArrayLike<number>
  timesMs: ArrayLike<number>
  last: ArrayLike<number>
  /** Extremes of the points that each stands for, NaN left out; null where nothing was joined. */
  low: ArrayLike<number> | null
  high: ArrayLike<number> | null
  /** How many points each stands for, their mean, and how many of them are NaN; told by the server where it joined some. */
  counts?: ArrayLike<number> | null
  means?: ArrayLike<number> | null
  nans?: ArrayLike<number> | null
  /** Points that the run has, of which these are a sample. */
  total: number
}

export class Series {
  readonly steps = new GrowingArray()
  readonly timesMs = new GrowingArray()
  readonly last = new GrowingArray()
  readonly low = new GrowingArray()
  readonly high = new GrowingArray()
  readonly counts = new GrowingArray()
  /** Of the finite points that it stands for; NaN where there is none. */
  readonly means = new GrowingArray()
  readonly nans = new GrowingArray()
  /** How many points the run has told of; `length` may be less where they were joined. */
  total = 0
  /** How often the run went back to a checkpoint and this lost points. */
  rewinds = 0

  get length(): number {
    return this.steps.length
  }

  /** Replace everything by the server’s history. */
  load(points: SeriesPoints): void {
    this.#truncate(0)
    const counts = points.counts ?? countsOf(points.steps, points.total)
    for (let index = 0; index < points.steps.length; index++) {
      const last = points.last[index]!
      this.#push({
        step: points.steps[index]!,
        timeMs: points.timesMs[index]!,
        last,
        low: points.low?.[index] ?? last,
        high: points.high?.[index] ?? last,
        count: counts[index]!,
        mean: points.means?.[index] ?? last,
        nans: points.nans?.[index] ?? Number(Number.isNaN(last)),
      })
    }
    this.total = points.total
  }

  /**
   * Add a live point. A step that is not beyond the last one means that the run went back to a checkpoint:
   * what it had from that step on is history that did not happen, and goes.
   */
  append(step: number, timeMs: number, value: number): void {
    const kept = this.indexOfStep(step)
    if (kept < this.length) {
      this.total -= this.length - kept
      this.rewinds++
      this.#truncate(kept)
    }
    const nans = Number(Number.isNaN(value))
    this.#push({ step, timeMs, last: value, low: value, high: value, count: 1, mean: value, nans })
    this.total++
    if (this.length > maximumPoints) this.#joinPairs()
  }

  /** First index whose step is not below `step`; `length` where there is none. */
  indexOfStep(step: number): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.steps.at(middle) < step) low = middle + 1
      else high = middle
    }
    return low
  }

  lastValue(): number | null {
    return this.length === 0 ? null : this.last.at(this.length - 1)
  }

  #push(point: Point): void {
    this.steps.push(point.step)
    this.timesMs.push(point.timeMs)
    this.last.push(point.last)
    this.low.push(point.low)
    this.high.push(point.high)
    this.counts.push(point.count)
    this.means.push(point.mean)
    this.nans.push(point.nans)
  }

  #truncate(length: number): void {
    for (const name of columns) this[name].truncate(length)
  }

  #joinPairs(): void {
    const pairs = this.length >> 1
    for (let index = 0; index < pairs; index++) {
      const [a, b] = [2 * index, 2 * index + 1]
      const [countA, countB] = [this.counts.at(a) - this.nans.at(a), this.counts.at(b) - this.nans.at(b)]
      const mean =
        countA === 0
          ? this.means.at(b)
          : countB === 0
            ? this.means.at(a)
            : (countA * this.means.at(a) + countB * this.means.at(b)) / (countA + countB)
      this.steps.set(index, this.steps.at(b))
      this.timesMs.set(index, this.timesMs.at(b))
      this.last.set(index, this.last.at(b))
      this.low.set(index, extreme(Math.min, this.low.at(a), this.low.at(b)))
      this.high.set(index, extreme(Math.max, this.high.at(a), this.high.at(b)))
      this.counts.set(index, this.counts.at(a) + this.counts.at(b))
      this.means.set(index, mean)
      this.nans.set(index, this.nans.at(a) + this.nans.at(b))
    }
    // Of an odd number the newest stands alone.
    const odd = this.length % 2
    if (odd === 1) for (const name of columns) this[name].set(pairs, this[name].at(this.length - 1))
    this.#truncate(pairs + odd)
  }
}

type Point = {
  step: number
  timeMs: number
  last: number
  low: number
  high: number
  count: number
  mean: number
  nans: number
}

/** The columns of a series, one number each per point. */
export const columns = ['steps', 'timesMs', 'last', 'low', 'high', 'counts', 'means', 'nans'] as const

/** NaN hides no extreme: it is counted beside them. */
function extreme(choose: (a: number, b: number) => number, a: number, b: number): number {
  if (Number.isNaN(a)) return b
  return Number.isNaN(b) ? a : choose(a, b)
}

/** Where nobody said how many points each stands for: in proportion to the steps since the one before. */
function countsOf(steps: ArrayLike<number>, total: number): ArrayLike<number> {
  const length = steps.length
  if (total <= length) return new Float64Array(length).fill(1)
  const width = (steps[length - 1]! - steps[0]!) / Math.max(1, length - 1) || 1
  const density = total / (steps[length - 1]! - steps[0]! + width)
  return Float64Array.from(steps, (step, index) => density * (index === 0 ? width : step - steps[index - 1]!))
}
