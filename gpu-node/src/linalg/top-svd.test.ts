import { describe, expect, test } from 'vitest'
import { Random } from '../random.ts'
import { createLapack } from './lapack.ts'
import type { LinearAlgebra } from './linear-algebra.ts'
import { transpose } from './matrix.ts'
import { createPortable } from './portable.ts'
import { type TopSvd, topSvd } from './top-svd.ts'

const lapack = createLapack()
const siblings: { name: string; algebra: LinearAlgebra | null; reason: string }[] = [
  { name: 'portable', algebra: createPortable(), reason: '' },
  'missing' in lapack
    ? { name: 'lapack', algebra: null, reason: lapack.missing }
    : { name: 'lapack', algebra: lapack, reason: '' },
]

/** float32 weights whose spectrum falls off as i^-decay, like a trained layer's. */
function weights(rows: number, columns: number, decay: number, seed = 1): Float32Array {
  const random = new Random(seed)
  const algebra = createPortable()
  const d = Math.min(rows, columns)
  const left = algebra.qr(random.fillNormal(new Float64Array(rows * d)), rows, d).q
  const right = algebra.qr(random.fillNormal(new Float64Array(columns * d)), columns, d).q
  const scaled = left.map((value, index) => value * ((index % d) + 1) ** -decay)
  return Float32Array.from(algebra.multiply(scaled, right, { rows, inner: d, columns, transposeRight: true }))
}

function maximum(values: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!))
  return largest
}

for (const { name, algebra: found, reason } of siblings) {
  const algebra = found ?? createPortable()
  /** max |xᵀ x - I|. */
  const orthonormality = (x: Float64Array, rows: number, count: number) => {
    const shape = { rows: count, inner: rows, columns: count, transposeLeft: true }
    return maximum(algebra.multiply(x, x, shape).map((v, i) => v - (i % (count + 1) === 0 ? 1 : 0)))
  }
  /** w - u diag(s) vᵀ. */
  const residual = (w: Float32Array, rows: number, columns: number, { u, s, v }: TopSvd) => {
    const inner = s.length
    const scaled = u.map((value, index) => value * s[index % inner]!)
    const product = algebra.multiply(scaled, v, { rows, inner, columns, transposeRight: true })
    return product.map((value, index) => w[index]! - value)
  }

  describe.skipIf(!found)(`leading triplets: ${name}${reason && ` (skipped: ${reason})`}`, () => {
    const shapes = [
      { rows: 48, columns: 64, rank: 16, decay: 0.3 },
      { rows: 64, columns: 48, rank: 48, decay: 0.3 },
      { rows: 60, columns: 20, rank: 1, decay: 1 },
      // s_rank below the resolution of the Gram matrix: the full SVD takes over.
      { rows: 40, columns: 50, rank: 30, decay: 3 },
    ]
    test.each(shapes)(
      'full, $rows x $columns rank $rank decay $decay: the best approximation of its rank',
      (given) => {
        const { rows, columns, rank, decay } = given
        const w = weights(rows, columns, decay)
        const exact = algebra.singularValues(Float64Array.from(w), rows, columns)
        const top = topSvd(algebra, w, given, { kind: 'full' })
        for (let j = 0; j < rank; j++) {
          expect(Math.abs(top.s[j]! - exact[j]!)).toBeLessThan(1e-10 * exact[j]! + 1e-14 * exact[0]!)
        }
        expect(orthonormality(top.u, rows, rank)).toBeLessThan(1e-12)
        expect(orthonormality(top.v, columns, rank)).toBeLessThan(1e-12)
        const rest = residual(w, rows, columns, top)
        const remaining = algebra.singularValues(rest, rows, columns)
        expect(Math.abs(remaining[0]! - (exact[rank] ?? 0))).toBeLessThan(1e-10 * exact[0]!)
        const tail = Math.hypot(...exact.slice(rank))
        expect(Math.abs(Math.hypot(...rest) - tail)).toBeLessThan(1e-10 * exact[0]!)
      },
    )

    test('slices are orthogonal: A_kᵀ A_k = B_k B_kᵀ = diag(S_k), and blocks of different devices do not overlap', () => {
      const [rows, columns, devices, rank] = [48, 64, 3, 8]
      const { u, s, v } = topSvd(
        algebra,
        weights(rows, columns, 0.5),
        { rows, columns, rank: devices * rank },
        { kind: 'full' },
      )
      for (const [factor, height] of [
        [u, rows],
        [v, columns],
      ] as const) {
        const scaled = factor.map((value, index) => value * Math.sqrt(s[index % s.length]!))
        const shape = { rows: s.length, inner: height, columns: s.length, transposeLeft: true }
        const product = algebra.multiply(scaled, scaled, shape)
        for (let i = 0; i < s.length; i++) product[i * s.length + i]! -= s[i]!
        expect(maximum(product)).toBeLessThan(1e-12)
      }
    })

    test('randomized: close to full where the spectrum falls off, orthonormal, and the same for the same seed', () => {
      const shape = { rows: 90, columns: 120, rank: 8 }
      const w = weights(90, 120, 1)
      const full = topSvd(algebra, w, shape, { kind: 'full' })
      const options = { kind: 'randomized', iterations: 8, seed: 3 } as const
      const sketched = topSvd(algebra, w, shape, options)
      expect(maximum(sketched.s.map((value, j) => value / full.s[j]! - 1))).toBeLessThan(1e-10)
      expect(maximum(sketched.u.map((value, i) => value - full.u[i]!))).toBeLessThan(1e-6)
      expect(orthonormality(sketched.u, 90, 8)).toBeLessThan(1e-13)
      expect(orthonormality(sketched.v, 120, 8)).toBeLessThan(1e-13)
      expect(topSvd(algebra, w, shape, options)).toEqual(sketched)
      expect(topSvd(algebra, w, shape, { ...options, seed: 4 }).u).not.toEqual(sketched.u)
    })

    test('randomized: more iterations come closer on a flat spectrum', () => {
      const shape = { rows: 80, columns: 80, rank: 4 }
      const w = new Random(8).fillNormal(new Float32Array(6400), 0, 0.02)
      const exact = topSvd(algebra, w, shape, { kind: 'full' }).s
      const error = (iterations: number) => {
        const { s } = topSvd(algebra, w, shape, { kind: 'randomized', iterations, oversample: 4 })
        return maximum(s.map((value, j) => value - exact[j]!))
      }
      expect(error(16)).toBeLessThan(error(4))
      expect(error(4)).toBeLessThan(error(1))
    })

    test.each(['full', 'randomized'] as const)('%s: the largest entry of each u_j is positive', (kind) => {
      const { u } = topSvd(algebra, weights(30, 20, 0.5), { rows: 30, columns: 20, rank: 6 }, { kind })
      for (let j = 0; j < 6; j++) {
        const column = Array.from({ length: 30 }, (_, i) => u[i * 6 + j]!)
        expect(Math.max(...column)).toBe(maximum(column))
      }
    })

    test('the triplets of wᵀ are those of w with u and v exchanged, up to the sign of a pair', () => {
      const w = weights(25, 40, 0.5)
      const of = (matrix: Float32Array, rows: number, columns: number) =>
        topSvd(algebra, matrix, { rows, columns, rank: 5 }, { kind: 'full' })
      const plain = of(w, 25, 40)
      const turned = of(transpose(w, 25, 40), 40, 25)
      expect(maximum(plain.u.map((value, i) => Math.abs(value) - Math.abs(turned.v[i]!)))).toBeLessThan(1e-10)
      expect(maximum(plain.s.map((value, j) => value - turned.s[j]!))).toBeLessThan(1e-13)
    })

    test.each(['full', 'randomized'] as const)(
      '%s: a zero matrix and one of lower rank still give orthonormal vectors',
      (kind) => {
        const lowRank = Float32Array.from({ length: 12 * 15 }, (_, i) => ((i % 15) + 1) * 0.1)
        for (const w of [new Float32Array(12 * 15), lowRank]) {
          const { u, s, v } = topSvd(algebra, w, { rows: 12, columns: 15, rank: 4 }, { kind })
          expect(orthonormality(u, 12, 4)).toBeLessThan(1e-12)
          expect(orthonormality(v, 15, 4)).toBeLessThan(1e-12)
          expect(maximum(s.slice(1))).toBeLessThan(1e-12)
        }
      },
    )

    test('a rank beyond the matrix is refused with both sizes', () => {
      const ask = (rank: number) =>
        topSvd(algebra, new Float32Array(12), { rows: 3, columns: 4, rank }, { kind: 'full' })
      expect(() => ask(4)).toThrowError(expect.objectContaining({ code: 'RANK_TOO_LARGE' }))
      expect(() => ask(4)).toThrowError(/Rank 4 asked of a 3 x 4 matrix/)
      for (const rank of [0, 1.5, Number.NaN]) expect(() => ask(rank)).toThrowError(/Rank/)
    })
  })
}
