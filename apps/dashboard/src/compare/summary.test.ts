import { expect, it } from 'vitest'
import { bestPlaces, spread } from './summary.ts'

it('spread is mean and sample deviation of the known values', () => {
  expect(spread([1, null, 3])).toEqual({ mean: 2, deviation: Math.SQRT2 })
  expect(spread([5])).toEqual({ mean: 5, deviation: null })
  expect(spread([null])).toEqual({ mean: null, deviation: null })
})
it('the best is marked at every place that has it, only where there is something to win, and NaN never wins', () => {
  const places = (...given: Parameters<typeof bestPlaces>) => [...bestPlaces(...given)]
  expect(places([0.5, Number.NaN, 0.4], 'low')).toEqual([2])
  expect(places([0.9, 0.8, 0.9, null], 'high')).toEqual([0, 2])
  expect(places([0.5, null], 'low')).toEqual([])
  expect(places([1, 1], 'low')).toEqual([])
  expect(places([1, 2], null)).toEqual([])
})
