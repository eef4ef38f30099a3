/** One contract over all siblings of the linear algebra interface. */
import { describe, expect, test } from 'vitest'
import { Random } from '../random.ts'
import { emulatedCudaBackend } from '../testing/backends/contract-backends.ts'
import { emulationMissing } from '../testing/cuda/emulation.ts'
import { createCuda } from './cuda.ts'
import { createLapack } from './lapack.ts'
import type { FloatArray, LinearAlgebra } from './linear-algebra.ts'
import { transpose } from './matrix.ts'
import { createPortable } from './portable.ts'
import { createTensorflow } from './tensorflow.ts'

const lapack = createLapack()
const tensorflow = createTensorflow()
const cuda = await emulatedAlgebra()
const siblings: { name: string; algebra: LinearAlgebra | null; reason: string }[] = [
  { name: 'portable', algebra: createPortable(), reason: '' },
  'missing' in lapack
    ? { name: 'lapack', algebra: null, reason: lapack.missing }
    : { name: 'lapack', algebra: lapack, reason: '' },
  'missing' in tensorflow
    ? { name: 'tensorflow', algebra: null, reason: tensorflow.missing }
    : { name: 'tensorflow', algebra: tensorflow, reason: '' },
  'missing' in cuda
    ? { name: 'cuda, emulated', algebra: null, reason: cuda.missing }
    : { name: 'cuda, emulated', algebra: cuda, reason: '' },
]

/** The GPU's on the emulated driver; what it has no memory for is not to be computed by a sibling that is tested itself. */
async function emulatedAlgebra(): Promise<LinearAlgebra | { missing: string }> {
  if (emulationMissing) return { missing: emulationMissing.replace('skipped: ', '') }
  await emulatedCudaBackend.start({ threads: 1 })
  return createCuda(createPortable)
}

const eps64 = 2 ** -52
const eps32 = 2 ** -23
const reference = createPortable()

function gaussian(rows: number, columns: number, seed = 1): Float64Array {
  return new Random(seed).fillNormal(new Float64Array(rows * columns))
}

/** A matrix with the given singular values and random orthonormal factors. */
function withSpectrum(rows: number, columns: number, spectrum: readonly number[], seed = 1): Float64Array {
  const count = spectrum.length
  const left = reference.qr(gaussian(rows, count, seed), rows, count).q
  const right = reference.qr(gaussian(columns, count, seed + 1), columns, count).q
  const scaled = left.map((value, index) => value * spectrum[index % count]!)
  return reference.multiply(scaled, right, { rows, inner: count, columns, transposeRight: true })
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length)
  let largest = 0
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!))
  return largest
}

/** max |qᵀ q - I| of q [rows, count]. */
function orthonormality(q: FloatArray, rows: number, count: number): number {
  const shape = { rows: count, inner: rows, columns: count, transposeLeft: true }
  const double = Float64Array.from(q)
  const product = reference.multiply(double, double, shape)
  for (let i = 0; i < count; i++) product[i * count + i]! -= 1
  return largestDifference(product, new Float64Array(count * count))
}

function rebuild(
  svd: { u: FloatArray; s: FloatArray; v: FloatArray },
  rows: number,
  columns: number,
): Float64Array {
  const d = svd.s.length
  const scaled = Float64Array.from(svd.u, (value, index) => value * svd.s[index % d]!)
  return reference.multiply(scaled, Float64Array.from(svd.v), {
    rows,
    inner: d,
    columns,
    transposeRight: true,
  })
}

const graded = Array.from({ length: 25 }, (_, i) => 10 ** (-i / 2))
const matrices: { name: string; rows: number; columns: number; a: Float64Array; s?: readonly number[] }[] = [
  { name: 'square', rows: 40, columns: 40, a: gaussian(40, 40) },
  { name: 'tall', rows: 70, columns: 30, a: gaussian(70, 30) },
  { name: 'slightly tall', rows: 33, columns: 30, a: gaussian(33, 30) },
  { name: 'wide', rows: 20, columns: 90, a: gaussian(20, 90) },
  { name: 'one row', rows: 1, columns: 9, a: Float64Array.of(2, 0, 0, 1, 0, 0, -2, 4, 0), s: [5] },
  { name: 'one column', rows: 4, columns: 1, a: Float64Array.of(0, -3, 4, 0), s: [5] },
  { name: 'one entry', rows: 1, columns: 1, a: Float64Array.of(-7), s: [7] },
  { name: 'zero', rows: 6, columns: 5, a: new Float64Array(30), s: [0, 0, 0, 0, 0] },
  { name: 'identity', rows: 3, columns: 3, a: Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1), s: [1, 1, 1] },
  { name: 'graded to 1e-12', rows: 40, columns: 25, a: withSpectrum(40, 25, graded), s: graded },
  {
    name: 'rank-deficient',
    rows: 30,
    columns: 30,
    a: withSpectrum(30, 30, [3, 2, 1]),
    s: [3, 2, 1, ...Array(27).fill(0)],
  },
  {
    name: 'clustered',
    rows: 24,
    columns: 20,
    a: withSpectrum(24, 20, Array(20).fill(2)),
    s: Array(20).fill(2),
  },
  { name: 'huge scale', rows: 12, columns: 12, a: gaussian(12, 12).map((x) => x * 1e150) },
  { name: 'tiny scale', rows: 12, columns: 12, a: gaussian(12, 12).map((x) => x * 1e-150) },
  {
    name: 'bidiagonal with a zero inside',
    rows: 3,
    columns: 3,
    a: Float64Array.of(1, 1, 0, 0, 0, 1, 0, 0, 1),
  },
]

for (const { name, algebra, reason } of siblings) {
  describe.skipIf(!algebra)(`linear algebra: ${name}${reason && ` (skipped: ${reason})`}`, () => {
    const { svd, singularValues, qr, multiply, gram, topEigen } = algebra ?? reference

    describe.each(matrices)('$name matrix', ({ rows, columns, a, s: expected }) => {
      const d = Math.min(rows, columns)
      const norm = Math.hypot(...a)
      const tolerance = 20 * Math.max(rows, columns) * eps64

      test('the SVD rebuilds it, with orthonormal vectors and descending values', () => {
        const copy = a.slice()
        const result = svd(a, rows, columns)
        expect(largestDifference(rebuild(result, rows, columns), a)).toBeLessThanOrEqual(tolerance * norm)
        expect(orthonormality(result.u, rows, d)).toBeLessThan(tolerance)
        expect(orthonormality(result.v, columns, d)).toBeLessThan(tolerance)
        expect([...result.s]).toEqual([...result.s].sort((x, y) => y - x))
        expect(a).toEqual(copy)
        if (expected) expect(largestDifference(result.s, expected)).toBeLessThanOrEqual(tolerance * norm)
      })

      test('the values alone are those of the full SVD', () => {
        const difference = largestDifference(singularValues(a, rows, columns), svd(a, rows, columns).s)
        expect(difference).toBeLessThanOrEqual(tolerance * norm)
      })

      test('QR rebuilds it, with orthonormal q and triangular r', () => {
        const { q, r } = qr(a, rows, columns)
        const product = multiply(q, r, { rows, inner: d, columns })
        expect(largestDifference(product, a)).toBeLessThanOrEqual(tolerance * norm)
        expect(orthonormality(q, rows, d)).toBeLessThan(tolerance)
        for (let i = 0; i < d; i++) for (let j = 0; j < i; j++) expect(r[i * columns + j]).toBe(0)
      })
    })

    test('float32 input is decomposed to float32 accuracy and returned as float32', () => {
      const a = Float32Array.from(gaussian(50, 35))
      const result = svd(a, 50, 35)
      expect(result.u).toBeInstanceOf(Float32Array)
      expect(result.s).toBeInstanceOf(Float32Array)
      expect(largestDifference(rebuild(result, 50, 35), a)).toBeLessThan(50 * eps32 * result.s[0]!)
      expect(orthonormality(result.v, 35, 35)).toBeLessThan(50 * eps32)
      expect(largestDifference(singularValues(a, 50, 35), result.s)).toBeLessThan(50 * eps32 * result.s[0]!)
    })

    test('known spectra: a diagonal matrix, and the Kahan-like 2 x 2 with values in closed form', () => {
      expect(largestDifference(singularValues(Float64Array.of(3, 0, 0, -4), 2, 2), [4, 3])).toBeLessThan(
        1e-15,
      )
      // [[1, 1], [0, 1]]: golden ratio and its inverse.
      const golden = (1 + Math.sqrt(5)) / 2
      const values = singularValues(Float64Array.of(1, 1, 0, 1), 2, 2)
      expect(largestDifference(values, [golden, 1 / golden])).toBeLessThan(4e-15)
    })

    test('multiply honours both transpositions', () => {
      const [rows, inner, columns] = [5, 7, 3]
      const left = gaussian(rows, inner, 3)
      const right = gaussian(inner, columns, 4)
      const plain = multiply(left, right, { rows, inner, columns })
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          let sum = 0
          for (let k = 0; k < inner; k++) sum += left[i * inner + k]! * right[k * columns + j]!
          expect(plain[i * columns + j]).toBeCloseTo(sum, 13)
        }
      }
      const [leftT, rightT] = [transpose(left, rows, inner), transpose(right, inner, columns)]
      const shape = { rows, inner, columns }
      expect(
        largestDifference(multiply(leftT, right, { ...shape, transposeLeft: true }), plain),
      ).toBeLessThan(1e-14)
      expect(
        largestDifference(multiply(left, rightT, { ...shape, transposeRight: true }), plain),
      ).toBeLessThan(1e-14)
      const both = multiply(leftT, rightT, { ...shape, transposeLeft: true, transposeRight: true })
      expect(largestDifference(both, plain)).toBeLessThan(1e-14)
    })

    test('topEigen of a gram matrix gives the squared singular values and the left vectors', () => {
      const a = gaussian(30, 50, 5)
      const symmetric = gram(a, 30, 50)
      expect(largestDifference(symmetric, transpose(symmetric, 30, 30))).toBe(0)
      const { values, vectors } = topEigen(symmetric, 30, 7)
      const s = singularValues(a, 30, 50)
      expect(
        largestDifference(
          values,
          s.slice(0, 7).map((x) => x * x),
        ),
      ).toBeLessThan(1e-13 * s[0]! ** 2)
      expect(orthonormality(vectors, 30, 7)).toBeLessThan(1e-13)
      const image = multiply(symmetric, vectors, { rows: 30, inner: 30, columns: 7 })
      const scaled = vectors.map((x, index) => x * values[index % 7]!)
      expect(largestDifference(image, scaled)).toBeLessThan(1e-13 * s[0]! ** 2)
    })

    test.each([
      { name: 'the identity', diagonal: [1, 1, 1, 1, 1] },
      { name: 'zero', diagonal: [0, 0, 0, 0, 0] },
      { name: 'a matrix of blocks', diagonal: [1, 5, 3, 2, 4] },
    ])('topEigen of $name has orthonormal eigenvectors', ({ diagonal }) => {
      const symmetric = Float64Array.from({ length: 25 }, (_, i) => (i % 6 === 0 ? diagonal[i / 6]! : 0))
      const { values, vectors } = topEigen(symmetric, 5, 3)
      expect([...values]).toEqual(diagonal.toSorted((x, y) => y - x).slice(0, 3))
      expect(orthonormality(vectors, 5, 3)).toBeLessThan(1e-14)
      const image = multiply(symmetric, vectors, { rows: 5, inner: 5, columns: 3 })
      expect(
        largestDifference(
          image,
          vectors.map((x, i) => x * values[i % 3]!),
        ),
      ).toBeLessThan(1e-14)
    })

    test.each([Number.NaN, Number.POSITIVE_INFINITY])(
      '%s in the input is refused with the place named',
      (bad) => {
        const a = gaussian(4, 5)
        a[7] = bad
        for (const call of [svd, singularValues, qr] as const) {
          expect(() => call(a, 4, 5)).toThrowError(expect.objectContaining({ code: 'NUMERIC' }))
          expect(() => call(a, 4, 5)).toThrowError(/row 1, column 2/)
        }
      },
    )
  })
}
