import { describe, expect, it } from 'vitest'
import { maximumPoints, Series } from './series.ts'

describe('a series', () => {
  it('continues history with live points and counts both', () => {
    const series = new Series()
    series.load({ steps: [10, 20], timesMs: [1, 2], last: [5, 4], low: [3, 4], high: [9, 6], total: 20 })
    series.append(21, 3, 7)
    expect([...series.steps.view()]).toEqual([10, 20, 21])
    expect([...series.high.view()]).toEqual([9, 6, 7])
    expect(series.total).toBe(21)
  })

  it('drops what a resumed run did after its checkpoint', () => {
    const series = new Series()
    for (let step = 1; step <= 5; step++) series.append(step, step, step)
    series.append(3, 9, 30)
    expect([...series.steps.view()]).toEqual([1, 2, 3])
    expect([...series.last.view()]).toEqual([1, 2, 30])
    expect(series.total).toBe(3)
  })

  it('takes the later of two values of one step', () => {
    const series = new Series()
    series.append(1, 1, 1)
    series.append(1, 2, 2)
    expect([...series.last.view()]).toEqual([2])
  })

  it('joins pairs when it grows too long, without losing a spike or the count', () => {
    const series = new Series()
    const steps = maximumPoints + 1
    for (let step = 1; step <= steps; step++)
      series.append(step, step, step === 1000 ? 1e6 : step === steps ? 7 : 0)
    series.append(steps + 1, steps + 1, Number.NaN)
    expect(series.length).toBeLessThan(maximumPoints)
    expect(series.total).toBe(steps + 1)
    expect(Math.max(...series.high.view().filter(Number.isFinite))).toBe(1e6)
    // The newest of an odd number stands alone; a NaN after it hides nothing.
    expect([...series.last.view().subarray(-2)]).toEqual([7, Number.NaN])
    expect(series.nans.view().reduce((sum, count) => sum + count, 0)).toBe(1)
    expect(series.counts.view().reduce((sum, count) => sum + count, 0)).toBe(steps + 1)
  })
})
