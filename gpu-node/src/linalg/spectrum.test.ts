import { describe, expect, test } from 'vitest'
import { Random } from '../random.ts'
import { createPortable } from './portable.ts'
import { type LowRankTerm, type SpectrumSource, spectrum } from './spectrum.ts'

const algebra = createPortable()
const measure = (source: SpectrumSource) => spectrum(algebra, source, () => 0)
const [rows, columns, rank, devices] = [30, 24, 2, 3]

function gaussian(length: number, seed: number, deviation = 1): Float64Array {
  return new Random(seed).fillNormal(new Float64Array(length), 0, deviation)
}

function term(inner: number, seed: number, factor = 1): LowRankTerm {
  return { left: gaussian(rows * inner, seed), right: gaussian(inner * columns, seed + 100), inner, factor }
}

/** The sum of the terms, entry by entry. */
function dense(terms: readonly LowRankTerm[]): Float64Array {
  const sum = new Float64Array(rows * columns)
  for (const { left, right, inner, factor } of terms) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        for (let k = 0; k < inner; k++) {
          sum[i * columns + j]! += factor * left[i * inner + k]! * right[k * columns + j]!
        }
      }
    }
  }
  return sum
}

describe('spectra from factors equal those of the dense update', () => {
  const start = term(rank, 7, -0.5)
  const cases: { name: string; terms: LowRankTerm[]; bound: number }[] = [
    { name: 'LoRA: rank r', terms: [term(rank, 1, 0.5)], bound: rank },
    { name: 'PiSSA: rank 2r', terms: [term(rank, 1, 0.5), start], bound: 2 * rank },
    {
      name: 'HD-PiSSA first-order part: rank 2Kr',
      terms: [term(devices * rank, 3), term(devices * rank, 4)],
      bound: 2 * devices * rank,
    },
    { name: 'stacks wider than the matrix', terms: [term(20, 5), term(20, 6)], bound: columns },
    { name: 'terms that cancel: rank 0', terms: [start, { ...start, factor: 0.5 }], bound: 0 },
    { name: 'no term: rank 0', terms: [], bound: 0 },
  ]
  test.each(cases)('$name', ({ terms, bound }) => {
    const factored = measure({ kind: 'factored', rows, columns, terms })
    const direct = measure({ kind: 'dense', rows, columns, after: dense(terms), before: null })
    expect(factored.singularValues).toHaveLength(columns)
    const scale = bound > 0 ? direct.singularValues[0]! : 1
    factored.singularValues.forEach((value, i) => {
      expect(Math.abs(value - direct.singularValues[i]!)).toBeLessThan(1e-13 * scale)
      if (i >= bound) expect(value).toBeLessThan(1e-13)
    })
    if (bound > 0) expect(factored.measures.numericalRankFloat64).toBe(bound)
  })
})

describe('spectra of a dense update', () => {
  test('the difference is formed in float64: a step below the half-ulp of float32 arithmetic is not rounded away', () => {
    const before = Float32Array.from(gaussian(rows * columns, 1, 0.02))
    const after = before.map((value) => value + 1e-7)
    const { frobenius, singularValues } = measure({ kind: 'dense', rows, columns, after, before })
    const exact = Math.hypot(
      ...after.map((_, i) => 0 * i),
      ...Array.from(after, (value, i) => value - before[i]!),
    )
    expect(frobenius / exact).toBeCloseTo(1, 12)
    expect(singularValues[0]).toBeCloseTo(1e-7 * Math.sqrt(rows * columns), 8)
  })

  test('what is left after the known parts is the rounding', () => {
    const terms = [term(2, 1), term(3, 2, -0.5)]
    const known = gaussian(rows * columns, 9)
    const rounding = gaussian(rows * columns, 10, 1e-6)
    const before = Float32Array.from(gaussian(rows * columns, 11))
    const sum = dense(terms)
    const after = Float64Array.from(before, (value, i) => value + sum[i]! + known[i]! + rounding[i]!)
    const subtract = { terms, dense: known }
    const left = measure({ kind: 'dense', rows, columns, after, before, subtract })
    const expected = measure({ kind: 'dense', rows, columns, after: rounding, before: null })
    left.singularValues.forEach((value, i) => {
      expect(Math.abs(value - expected.singularValues[i]!)).toBeLessThan(1e-13)
    })
  })

  test('beyond the first-order part is the norm of what its columns and rows do not reach, whatever the part is', () => {
    // Unit vectors as factors: beyond them is the block of the other rows and columns.
    const reach = 5
    const unit = (height: number, width: number) =>
      Float64Array.from({ length: height * width }, (_, i) => (Math.floor(i / width) === i % width ? 1 : 0))
    const firstOrder = [{ left: unit(rows, reach), right: unit(reach, columns), inner: reach, factor: 3 }]
    const after = gaussian(rows * columns, 12)
    const isBeyond = (i: number) => Math.floor(i / columns) >= reach && i % columns >= reach
    const { beyondFirstOrder } = measure({ kind: 'dense', rows, columns, after, before: null, firstOrder })
    expect(beyondFirstOrder! / Math.hypot(...after.filter((_, i) => isBeyond(i)))).toBeCloseTo(1, 12)
  })

  test('a first-order part adds nothing beyond itself, and one of full rank leaves no beyond', () => {
    const terms = [term(2, 1), term(3, 2, -0.5)]
    const [sum, rest] = [dense(terms), gaussian(rows * columns, 9, 1e-6)]
    const beyond = (after: Float64Array, firstOrder: readonly LowRankTerm[]) =>
      measure({ kind: 'dense', rows, columns, after, before: null, firstOrder }).beyondFirstOrder
    const whole = beyond(
      sum.map((value, i) => value + rest[i]!),
      terms,
    )!
    expect(whole / beyond(rest, terms)!).toBeCloseTo(1, 8)
    expect(beyond(sum, terms)).toBeLessThan(1e-12)
    expect(beyond(sum, [term(columns, 3)])).toBeNull()
  })

  test('an unchanged matrix has a spectrum of zeros, and its measures are 0', () => {
    const w = Float32Array.from(gaussian(rows * columns, 1))
    const result = measure({ kind: 'dense', rows, columns, after: w, before: w })
    expect(result.frobenius).toBe(0)
    expect(result.measures.effectiveRank).toBe(0)
    expect(result.singularValues).toEqual(new Float64Array(columns))
  })

  test('an update near the smallest float64 keeps its norm', () => {
    const after = new Float64Array(rows * columns).fill(1e-200)
    const { frobenius, measures } = measure({ kind: 'dense', rows, columns, after, before: null })
    expect(frobenius / (1e-200 * Math.sqrt(rows * columns))).toBeCloseTo(1, 12)
    expect(measures.stableRank).toBeCloseTo(1, 12)
  })

  test('a part of another size, such as a buffer that was handed over before, is a bug that is named', () => {
    const w = new Float32Array(rows * columns)
    const empty = new Float32Array(0)
    const sources: SpectrumSource[] = [
      { kind: 'dense', rows, columns, after: empty, before: w },
      { kind: 'dense', rows, columns, after: w, before: empty },
      { kind: 'factored', rows, columns, terms: [{ ...term(2, 1), right: empty }] },
    ]
    for (const source of sources)
      expect(() => measure(source)).toThrowError(/matrix of 0 entries was given as/)
  })

  test('weights that diverged are refused', () => {
    const after = new Float32Array(rows * columns).fill(Number.NaN)
    expect(() => measure({ kind: 'dense', rows, columns, after, before: null })).toThrowError(
      expect.objectContaining({ code: 'NUMERIC' }),
    )
  })
})
