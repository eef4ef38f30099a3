import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { extentOf, rangeAround } from './axis-range.ts'
import { linearTicks, logTicks, tickLabels } from './ticks.ts'

describe('ticks', () => {
  it.each([
    [0, 60_000, 'count', ['0', '20k', '40k', '60k']],
    [54_580, 54_590, 'count', ['54,580', '54,582', '54,584', '54,586', '54,588', '54,590']],
    [0, 3e-4, 'number', ['0', '1e-4', '2e-4', '3e-4']],
    [0, 1, 'percent', ['0 %', '20 %', '40 %', '60 %', '80 %', '100 %']],
    [1.8e-5, 2.2e-5, 'number', ['1.8e-5', '1.9e-5', '2e-5', '2.1e-5', '2.2e-5']],
  ] as const)('from %s to %s (%s) read as people write', (min, max, kind, labels) => {
    expect(tickLabels(linearTicks(min, max, 5), kind)).toEqual(labels)
  })
  it('on a logarithmic axis are powers of ten, finer where there are few', () => {
    expect(tickLabels(logTicks(9e-4, 20, 6), 'number')).toEqual(['0.001', '0.01', '0.1', '1', '10'])
    expect(logTicks(1.5, 6, 5)).toEqual([2, 5])
  })
  it('lie inside the axis and never read alike, whatever its range', () => {
    const number = fc
      .double({ min: -1e12, max: 1e12, noNaN: true })
      .filter((value) => value === 0 || Math.abs(value) > 1e-290)
    fc.assert(
      fc.property(number, number, fc.constantFrom('count', 'number', 'percent'), (a, b, kind) => {
        const [min, max] = rangeAround([Math.min(a, b), Math.max(a, b)], { log: false })
        const ticks = linearTicks(min, max, 6)
        expect(ticks.length).toBeGreaterThan(0)
        const slack = (max - min) * 1e-6
        expect(ticks.every((tick) => tick >= min - slack && tick <= max + slack)).toBe(true)
        expect(new Set(tickLabels(ticks, kind)).size).toBe(ticks.length)
      }),
    )
  })
})

describe('the range of an axis', () => {
  it('holds every finite value and passes over the others', () => {
    expect(
      extentOf(
        [
          [3, Number.NaN],
          [Number.POSITIVE_INFINITY, 1],
        ],
        false,
      ),
    ).toEqual([1, 3])
    expect(extentOf([[0, -1, 5]], true)).toEqual([5, 5])
    expect(extentOf([[Number.NaN]], false)).toBeNull()
  })
  it('shows a constant for what it is', () => {
    expect(rangeAround([0.5, 0.5], { log: false })).toEqual([0.45, 0.55])
    expect(rangeAround([0, 0], { log: false })).toEqual([-0.5, 0.5])
    const [low, high] = rangeAround([1e-3, 1e-3], { log: true })
    expect([low < 1e-3, high > 1e-3, high / low < 10]).toEqual([true, true, true])
  })
})
