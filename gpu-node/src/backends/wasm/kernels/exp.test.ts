/** The exponential of the host kernels against Math.exp. */
import { expect, test } from 'vitest'
import { Random } from '../../../random.ts'
import { fastExp } from './exp.ts'

test('agrees with Math.exp to 1e-9 wherever float32 has normal numbers', () => {
  const random = new Random(1)
  const drawn = Array.from({ length: 20_000 }, () => random.uniform(-87, 88))
  for (const x of [...drawn, -86.999, -1e-9, 0, 1e-9, Math.LN2, -Math.LN2 / 128, 88])
    expect(Math.abs(fastExp(x) / Math.exp(x) - 1), `e^${x}`).toBeLessThan(1e-9)
})

test('ends in 0 below, in infinity above, and keeps NaN', () => {
  expect([-87.1, -1e6, Number.NEGATIVE_INFINITY].map(fastExp)).toEqual([0, 0, 0])
  expect(fastExp(89)).toBe(Math.exp(89))
  expect(fastExp(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY)
  expect(fastExp(Number.NaN)).toBeNaN()
})
