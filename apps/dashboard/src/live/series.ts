/**
 * One scalar of one run over its steps: history as the server sampled it, then every live point. Where
 * points were joined, `low` and `high` keep the extremes, so that a spike is never lost.
 */
import { GrowingArray } from './growing-array.ts'

/** More points than this are joined pairwise: 40 bytes a point, so a series stays below 1.3 MB. */
export const maximumPoints = 32_768

export type SeriesPoints = {
  steps: ArrayLike<number>
  timesMs: ArrayLike<number>
  last: ArrayLike<number>
  low: ArrayLike<number> | null
  high: ArrayLike<number> | null
  /** Points that the run has, of which these are a sample. */
  total: number
}

export class Series {
  readonly steps = new GrowingArray()
  readonly timesMs = new GrowingArray()
  readonly last = new GrowingArray()
  readonly low = new GrowingArray()
  readonly high = new GrowingArray()
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
    for (let index = 0; index < points.steps.length; index++) {
      const value = points.last[index]!
      this.#push(
        points.steps[index]!,
        points.timesMs[index]!,
        value,
        points.low?.[index] ?? value,
        points.high?.[index] ?? value,
      )
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
    this.#push(step, timeMs, value, value, value)
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

  #push(step: number, timeMs: number, value: number, low: number, high: number): void {
    this.steps.push(step)
    this.timesMs.push(timeMs)
    this.last.push(value)
    this.low.push(low)
    this.high.push(high)
  }

  #truncate(length: number): void {
    for (const column of [this.steps, this.timesMs, this.last, this.low, this.high]) column.truncate(length)
  }

  #joinPairs(): void {
    const pairs = this.length >> 1
    for (let index = 0; index < pairs; index++) {
      const first = 2 * index
      const second = first + 1
      this.steps.set(index, this.steps.at(second))
      this.timesMs.set(index, this.timesMs.at(second))
      this.last.set(index, this.last.at(second))
      this.low.set(index, Math.min(this.low.at(first), this.low.at(second)))
      this.high.set(index, Math.max(this.high.at(first), this.high.at(second)))
    }
    this.#truncate(pairs)
  }
}
