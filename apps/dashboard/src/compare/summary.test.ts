import { expect, it } from 'vitest'
import { bestIndex, spread } from './summary.ts'

it('spread is mean and sample deviation of the known values', () => {
  expect(spread([1, null, 3])).toEqual({ mean: 2, deviation: Math.SQRT2 })
  expect(spread([5])).toEqual({ mean: 5, deviation: null })
  expect(spread([null])).toEqual({ mean: null, deviation: null })
})
it('the best is marked only where there is something to win, and NaN never wins', () => {
  expect(bestIndex([0.5, Number.NaN, 0.4], 'low')).toBe(2)
  expect(bestIndex([0.5, null], 'low')).toBeNull()
  expect(bestIndex([1, 2], null)).toBeNull()
})
