/** What a zoomed scalar chart shows: which points lie in view, and the finer ones that were fetched for it. Pure. */
import { type columns, Series } from '../live/series.ts'

/** Range of the x axis: steps, tokens or seconds. */
export type View = { from: number; to: number }

/** Points of one series over a range of steps, finer than the history of the whole run. */
export type Detail = {
  points: Series
  /** The series' `rewinds` when these were asked for: after another, they may be history that did not happen. */
  rewinds: number
}

/** Indices [start, end) of the ascending `x` in view, and a neighbour on each side, so that lines reach the frame. */
export function indicesInView(x: ArrayLike<number>, view: View): [start: number, end: number] {
  let start = 0
  while (start < x.length && x[start]! < view.from) start++
  let end = start
  while (end < x.length && x[end]! <= view.to) end++
  return [Math.max(0, start - 1), Math.min(x.length, end + 1)]
}

/** How many of the ascending `x` are in view. */
export function countInView(x: ArrayLike<number>, view: View): number {
  let count = 0
  for (let index = 0; index < x.length; index++) if (x[index]! >= view.from && x[index]! <= view.to) count++
  return count
}

/**
 * Steps to ask for, so that all points in view come singly; null where nothing was joined. `x` belongs to the points
 * of `series`, each of which stands for the steps after the one before it.
 */
export function stepsToFetch(
  series: Series,
  x: ArrayLike<number>,
  view: View,
): { fromStep: number; toStep: number } | null {
  if (series.length === 0 || series.total <= series.length) return null
  const [start, end] = indicesInView(x, view)
  const fromStep = start === 0 ? 0 : series.steps.at(start - 1) + 1
  return { fromStep, toStep: series.steps.at(end - 1) }
}

/** The series with the points of `detail` where that has some; what came live after it stays. */
export function withDetail(series: Series, detail: Detail | undefined): Series {
  if (!detail || detail.rewinds !== series.rewinds || detail.points.length === 0) return series
  const { points } = detail
  const first = series.indexOfStep(points.steps.at(0))
  const after = series.indexOfStep(points.steps.at(points.length - 1) + 1)
  const joined = (name: (typeof columns)[number]) => {
    const coarse = series[name].view()
    return [...coarse.subarray(0, first), ...points[name].view(), ...coarse.subarray(after)]
  }
  const result = new Series()
  result.load({
    steps: joined('steps'),
    timesMs: joined('timesMs'),
    last: joined('last'),
    low: joined('low'),
    high: joined('high'),
    counts: joined('counts'),
    means: joined('means'),
    nans: joined('nans'),
    total: series.total,
  })
  return result
}
