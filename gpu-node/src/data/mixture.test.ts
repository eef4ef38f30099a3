import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mixtureCounts, mixtureOrder } from './mixture.ts'
import { createSampler } from './sampler.ts'

const sizes = [5, 40, 100]
const counts = [30, 40, 50]
const order = mixtureOrder(counts, sizes, 7)

describe('a mixture', () => {
  it('divides an epoch by the weights, to the example', () => {
    const source = (weight: number | null, size = 10) => ({ size, weight })
    expect(mixtureCounts([source(1), source(2), source(1)], 100)).toEqual([25, 50, 25])
    // 33.3 each: the one left over goes to the first.
    expect(mixtureCounts([source(1), source(1), source(1)], 100)).toEqual([34, 33, 33])
    expect(mixtureCounts([source(0.1), source(0.7), source(0.2)], 7)).toEqual([1, 5, 1])
    expect(mixtureCounts([source(null, 395_000), source(null, 104_848)], null)).toEqual([395_000, 104_848])
    expect(mixtureCounts([source(null, 395), source(null, 105)], 100)).toEqual([79, 21])
  })

  it('has all its examples and each part within one of its share, whatever the weights', () => {
    const weights = fc.array(fc.double({ min: 0.001, max: 1000, noNaN: true }), {
      minLength: 1,
      maxLength: 11,
    })
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 100_000 }), (list, total) => {
        const found = mixtureCounts(
          list.map((weight) => ({ size: 1, weight })),
          total,
        )
        const all = list.reduce((sum, weight) => sum + weight, 0)
        expect(found.reduce((sum, count) => sum + count, 0)).toBe(total)
        for (const [i, count] of found.entries())
          expect(Math.abs(count - (total * list[i]!) / all)).toBeLessThan(1)
      }),
      { seed: 1 },
    )
  })

  it('takes each example as often as any other of its source, give or take one', () => {
    for (const [source, size] of sizes.entries()) {
      const times = Array<number>(size).fill(0)
      for (const place of order) if (place.source === source) times[place.example]!++
      expect(times.reduce((sum, count) => sum + count, 0)).toBe(counts[source])
      expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(1)
    }
  })

  it('is in proportion at every place, within one example', () => {
    const seen = [0, 0, 0]
    for (const [index, { source }] of order.entries()) {
      seen[source]!++
      for (const [i, count] of counts.entries())
        expect(Math.abs(seen[i]! - ((index + 1) * count) / order.length)).toBeLessThanOrEqual(1)
    }
  })

  it('is drawn by seed', () => {
    expect(mixtureOrder(counts, sizes, 7)).toEqual(order)
    expect(mixtureOrder(counts, sizes, 8)).not.toEqual(order)
  })

  it.each(['distributed', 'sequential'] as const)(
    '%s sampling takes the same examples at each step for every K',
    (sampling) => {
      const steps = (devices: number) => {
        const sampler = createSampler({
          ...{
            examples: order.length,
            devices,
            microBatchSize: 8 / devices,
            accumulation: 1,
            epochs: 2,
            maxSteps: 30,
          },
          ...{ sampling, assign: 'interleave', remainder: 'drop', shuffle: true, reshuffle: true, seed: 3 },
        })
        return Array.from({ length: sampler.totalSteps }, (_, step) =>
          sampler
            .plan(step)
            .microBatches.flatMap(({ rows }) => rows.flat())
            .sort((a, b) => a - b),
        )
      }
      expect(steps(2)).toEqual(steps(1))
      expect(steps(4)).toEqual(steps(1))
      expect(steps(8)).toEqual(steps(1))
    },
  )
})
