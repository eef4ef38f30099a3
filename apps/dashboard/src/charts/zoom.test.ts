import { describe, expect, it } from 'vitest'
import { Series } from '../live/series.ts'
import { indicesInView, stepsToFetch, withDetail } from './zoom.ts'

function seriesOf(steps: readonly number[], values: readonly number[], total = steps.length): Series {
  const series = new Series()
  series.load({ steps, timesMs: steps, last: values, low: null, high: null, total })
  return series
}

/** Steps 1 to 40, joined by tens. */
const coarse = () => seriesOf([10, 20, 30, 40], [1, 2, 3, 4], 40)
const stepsOf = (series: Series) => [...series.steps.view()]

describe('a zoom', () => {
  it('takes in one neighbour on each side', () => {
    expect(indicesInView([1, 2, 3, 4, 5], { from: 2.5, to: 3.5 })).toEqual([1, 4])
    expect(indicesInView([1, 2, 3], { from: -9, to: 9 })).toEqual([0, 3])
    expect(indicesInView([], { from: 0, to: 1 })).toEqual([0, 0])
  })

  it('asks for all steps that the joined points in view stand for, and for none where nothing was joined', () => {
    const series = coarse()
    // From the point at 20, which stands for 11 to 20, to the one at 40.
    expect(stepsToFetch(series, stepsOf(series), { from: 22, to: 33 })).toEqual({ fromStep: 11, toStep: 40 })
    expect(stepsToFetch(series, stepsOf(series), { from: 0, to: 5 })).toEqual({ fromStep: 0, toStep: 10 })
    const whole = seriesOf([1, 2], [1, 2])
    expect(stepsToFetch(whole, stepsOf(whole), { from: 1, to: 2 })).toBeNull()
  })

  it('puts the finer points in the place of the joined ones', () => {
    const points = seriesOf([11, 12, 15, 20], [5, 6, 7, 8])
    const joined = withDetail(coarse(), { points, rewinds: 0 })
    expect(stepsOf(joined)).toEqual([10, 11, 12, 15, 20, 30, 40])
    expect([...joined.last.view()]).toEqual([1, 5, 6, 7, 8, 3, 4])
  })

  it('keeps live points that came after the finer ones, and gives these up when the run goes back', () => {
    const series = coarse()
    const detail = { points: seriesOf([31, 32, 40], [5, 6, 7]), rewinds: series.rewinds }
    series.append(41, 41, 9)
    expect(stepsOf(withDetail(series, detail))).toEqual([10, 20, 30, 31, 32, 40, 41])
    series.append(25, 42, 9)
    expect(stepsOf(withDetail(series, detail))).toEqual([10, 20, 25])
  })
})
