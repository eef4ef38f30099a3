import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bucketWidth,
  buildLevel,
  coverRange,
  joinBuckets,
  joinSize,
  limitBuckets,
  singlePoint,
} from './series.ts'

const anySeries = fc
  .uniqueArray(
    fc.record({
      step: fc.nat(3000),
      value: fc.oneof(fc.double({ noNaN: true }), fc.constant(Number.NaN)),
    }),
    { selector: (point) => point.step, minLength: 1, maxLength: 200 },
  )
  .map((points) =>
    points
      .sort((left, right) => left.step - right.step)
      .map(({ step, value }) => singlePoint(step, value, step)),
  )

describe('joining points', () => {
  it('keeps the extremes, the last point and the counts', () => {
    fc.assert(
      fc.property(anySeries, (points) => {
        const joined = joinBuckets(points)
        const finite = points.map((point) => point.last).filter((value) => !Number.isNaN(value))
        expect(joined.min).toBe(finite.length ? Math.min(...finite) : Number.NaN)
        expect(joined.max).toBe(finite.length ? Math.max(...finite) : Number.NaN)
        expect(joined.count).toBe(points.length)
        expect(joined.nanCount).toBe(points.length - finite.length)
        expect(joined.last).toBe(points.at(-1)!.last)
        expect(joined.step).toBe(points.at(-1)!.step)
      }),
    )
  })

  it('in two stages is the same as in one', () => {
    fc.assert(
      fc.property(anySeries, fc.integer({ min: 1, max: 3 }), (points, level) => {
        const direct = buildLevel(points, level)
        const staged = buildLevel(
          buildLevel(points, level - 1).map(({ bucket }) => bucket),
          level,
        )
        expect(staged).toEqual(direct)
      }),
    )
  })

  it('to a limit gives at most so many buckets and forgets no point', () => {
    fc.assert(
      fc.property(anySeries, fc.integer({ min: 1, max: 50 }), (points, limit) => {
        const buckets = limitBuckets(points, limit)
        expect(buckets.length).toBeLessThanOrEqual(limit)
        expect(buckets.reduce((sum, bucket) => sum + bucket.count, 0)).toBe(points.length)
      }),
    )
  })
})

describe('covering a range of steps', () => {
  it('leaves no gap and no overlap, and uses whole buckets of the built part only', () => {
    const range = fc.tuple(fc.nat(40_000), fc.nat(40_000), fc.integer({ min: 0, max: 5 }), fc.nat(80))
    fc.assert(
      fc.property(range, ([from, length, level, strides]) => {
        const builtTo = strides * 512
        let next = from
        for (const stretch of coverRange(from, from + length, level, builtTo)) {
          expect(stretch.from).toBe(next)
          expect(stretch.to).toBeGreaterThan(stretch.from)
          if (stretch.level > 0) {
            expect(stretch.from % bucketWidth(stretch.level)).toBe(0)
            expect(stretch.to % bucketWidth(stretch.level)).toBe(0)
            expect(stretch.to).toBeLessThanOrEqual(builtTo)
          }
          next = stretch.to
        }
        expect(next).toBe(from + length)
      }),
    )
  })
})

it('the size of joined groups is the least that keeps within the limit', () => {
  const groupsOf = (from: number, to: number, level: number, size: number) => {
    const indices = Array.from({ length: (to - from) / bucketWidth(level) }, (_, index) => index)
    return new Set(indices.map((index) => Math.floor(index / size))).size
  }
  const range = fc.tuple(
    fc.nat(4000),
    fc.integer({ min: 1, max: 4000 }),
    fc.nat(2),
    fc.nat(9),
    fc.integer({ min: 8, max: 600 }),
  )
  fc.assert(
    fc.property(range, ([from, length, level, strides, limit]) => {
      const stretches = coverRange(from, from + length, level, strides * 512)
      const groups = (size: number) =>
        stretches.reduce((sum, one) => sum + groupsOf(one.from, one.to, one.level, size), 0)
      const size = joinSize(stretches, limit)
      if (size > 2) expect(groups(size - 1)).toBeGreaterThan(limit)
      // No fewer than one of each stretch.
      expect(groups(size)).toBeLessThanOrEqual(Math.max(limit, 2 * stretches.length))
    }),
  )
})
