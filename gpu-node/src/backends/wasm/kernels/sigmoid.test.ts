/** The sigmoid of the host kernels against Math.exp. */
import { expect, test } from 'vitest'
import { Random } from '../../../random.ts'
import { sigmoid } from './sigmoid.ts'

test('agrees with 1 / (1 + e^-x) to 1e-7 of its value, between points, on them and beyond them', () => {
  const random = new Random(1)
  const drawn = Array.from({ length: 20_000 }, () => random.uniform(-30, 30))
  for (const x of [...drawn, -80, -20.001, -20, -19.999, -1 / 128, 0, 1 / 128, 19.999, 20, 80]) {
    const exact = 1 / (1 + Math.exp(-x))
    expect(Math.abs(sigmoid(x) / exact - 1), `sigmoid(${x})`).toBeLessThan(1e-7)
  }
})

test('ends in 0 and 1, and keeps NaN', () => {
  expect([Number.NEGATIVE_INFINITY, -1e6, 1e6, Number.POSITIVE_INFINITY].map(sigmoid)).toEqual([0, 0, 1, 1])
  expect(sigmoid(Number.NaN)).toBeNaN()
})
