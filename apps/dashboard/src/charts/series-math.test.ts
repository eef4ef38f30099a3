import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { envelope } from './decimate.ts'
import { smooth } from './smoothing.ts'

describe('smoothing', () => {
  it('with weight 0 changes nothing, and a constant stays constant from the first point', () => {
    expect([...smooth([3, 1, 2], 0)]).toEqual([3, 1, 2])
    for (const value of smooth(new Array(50).fill(2.5), 0.97)) expect(value).toBeCloseTo(2.5, 12)
  })
  it('a NaN is shown where it is and spoils nothing after it', () => {
    const smoothed = smooth([1, Number.NaN, 1], 0.9)
    expect(smoothed[1]).toBeNaN()
    expect(smoothed[2]).toBeCloseTo(1, 12)
  })
})

describe('decimation', () => {
  it('keeps the global minimum and maximum, whatever the number of buckets', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 300 }),
        fc.integer({ min: 1, max: 80 }),
        (values, buckets) => {
          const joined = envelope(values, values, buckets)
          expect(Math.min(...joined.low)).toBe(Math.min(...values))
          expect(Math.max(...joined.high)).toBe(Math.max(...values))
          expect(joined.index.at(-1)).toBe(values.length - 1)
        },
      ),
    )
  })
  it('NaN counts only where a bucket has nothing else', () => {
    const joined = envelope(
      [Number.NaN, 1, Number.NaN, Number.NaN],
      [Number.NaN, 1, Number.NaN, Number.NaN],
      2,
    )
    expect([...joined.low]).toEqual([1, Number.NaN])
  })
})
