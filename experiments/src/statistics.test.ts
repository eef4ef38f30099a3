import { describe, expect, it } from 'vitest'
import { estimate, pairedDifference, spearman, studentCdf, studentQuantile } from './statistics.ts'

describe('Student’s t', () => {
  it.each([
    // Tabulated two-sided 95 % factors.
    [1, 12.706204736174694],
    [2, 4.302652729749462],
    [3, 3.182446305283708],
    [4, 2.7764451051977934],
    [9, 2.2621571627409915],
    [30, 2.0422724563012378],
    [1000, 1.9623390808264078],
  ])('has the tabulated 97.5 % quantile at %i degrees of freedom', (degrees, quantile) => {
    expect(studentQuantile(0.975, degrees)).toBeCloseTo(quantile, 9)
    expect(studentQuantile(0.025, degrees)).toBeCloseTo(-quantile, 9)
  })

  it('has the distribution that its density integrates to', () => {
    for (const degrees of [1, 2, 5, 17])
      for (const t of [-3, -0.4, 0, 0.2, 1, 2.5]) {
        // Simpson’s rule from 0 to t over the unnormalised density, divided by the same over the half line by x = tan u.
        const density = (x: number) => (1 + (x * x) / degrees) ** (-(degrees + 1) / 2)
        const whole = simpson((u) => density(Math.tan(u)) / Math.cos(u) ** 2, 0, Math.PI / 2 - 1e-7)
        const part = simpson(density, 0, Math.abs(t))
        expect(studentCdf(t, degrees)).toBeCloseTo(0.5 + (Math.sign(t) * part) / whole / 2, 6)
      }
  })
})

describe('estimates', () => {
  it('give mean, sample deviation and the half width of the 95 % interval', () => {
    const found = estimate([0.71, 0.74, 0.69])!
    const mean = (0.71 + 0.74 + 0.69) / 3
    const deviation = Math.sqrt(((0.71 - mean) ** 2 + (0.74 - mean) ** 2 + (0.69 - mean) ** 2) / 2)
    expect(found.n).toBe(3)
    expect(found.mean).toBeCloseTo(mean, 12)
    expect(found.deviation).toBeCloseTo(deviation, 12)
    expect(found.halfWidth).toBeCloseTo((4.302652729749462 * deviation) / Math.sqrt(3), 10)
  })

  it('claim no interval with one value, and nothing with none', () => {
    expect(estimate([0.5])).toEqual({ n: 1, mean: 0.5, deviation: null, halfWidth: null })
    expect(estimate([])).toBeNull()
  })

  it('pair differences by seed: what one side lacks is left out', () => {
    const a = new Map([
      ['1', 0.9],
      ['2', 0.7],
      ['3', 0.8],
    ])
    const b = new Map([
      ['1', 0.8],
      ['2', 0.65],
      ['4', 0.1],
    ])
    const found = pairedDifference(a, b)!
    expect(found.n).toBe(2)
    expect(found.mean).toBeCloseTo(0.075, 12)
    // t = 0.075 / (0.0353553… / √2) = 3; with one degree of freedom p = 1 − 2 arctan(3) / π.
    expect(found.pValue).toBeCloseTo(1 - (2 * Math.atan(3)) / Math.PI, 10)
  })

  it('give no p value where every pair differs by the same, and nothing without a shared seed', () => {
    expect(
      pairedDifference(
        new Map([
          ['1', 2],
          ['2', 3],
        ]),
        new Map([
          ['1', 1],
          ['2', 2],
        ]),
      ),
    ).toMatchObject({ mean: 1, pValue: null })
    expect(pairedDifference(new Map([['1', 2]]), new Map([['2', 2]]))).toBeNull()
  })
})

describe('Spearman’s correlation', () => {
  it('is 1 for what grows together, −1 for what falls, whatever the shape', () => {
    expect(
      spearman([
        [1, 1],
        [2, 8],
        [3, 1000],
      ]),
    ).toBe(1)
    expect(
      spearman([
        [1, 5],
        [10, 4],
        [11, -3],
      ]),
    ).toBe(-1)
  })
  it('is 1 − 6 Σd² / (n (n² − 1)) without ties, and takes mean ranks with them', () => {
    // d = 0, −1, 1, −1, 1.
    expect(
      spearman([
        [1, 10],
        [2, 30],
        [3, 20],
        [4, 50],
        [5, 40],
      ]),
    ).toBeCloseTo(1 - (6 * 4) / (5 * 24), 12)
    // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: Pearson of those.
    expect(
      spearman([
        [1, 1],
        [2, 2],
        [2, 3],
        [4, 4],
      ]),
    ).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12)
  })
  it('is nothing for two pairs, or where one side never changes', () => {
    expect(
      spearman([
        [1, 2],
        [2, 3],
      ]),
    ).toBeNull()
    expect(
      spearman([
        [1, 2],
        [1, 3],
        [1, 4],
      ]),
    ).toBeNull()
  })
})

function simpson(f: (x: number) => number, from: number, to: number): number {
  const parts = 20_000
  const width = (to - from) / parts
  let sum = f(from) + f(to)
  for (let index = 1; index < parts; index++) sum += f(from + index * width) * (index % 2 === 1 ? 4 : 2)
  return (sum * width) / 3
}
