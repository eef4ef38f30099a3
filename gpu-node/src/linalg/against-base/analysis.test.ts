import { describe, expect, test } from 'vitest'
import { Random } from '../../random.ts'
import type { FloatArray } from '../linear-algebra.ts'
import { createPortable } from '../portable.ts'
import { selectLinearAlgebra } from '../select.ts'
import { type AnalysisSettings, analyse } from './analysis.ts'
import { decomposeBase } from './base-decomposition.ts'
import { spikeThresholds } from './spike-threshold.ts'
import { WatchedBases } from './watched-bases.ts'

const algebras = [createPortable(), selectLinearAlgebra().algebra]
const usual: AnalysisSettings = { rank: 2, devices: 3, slices: true, vectors: true }

function gaussian(length: number, seed: number, deviation = 1): Float64Array {
  return new Random(seed).fillNormal(new Float64Array(length), 0, deviation)
}

function product(a: FloatArray, b: FloatArray, rows: number, inner: number, columns: number): Float64Array {
  const c = new Float64Array(rows * columns)
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < inner; k++)
      for (let j = 0; j < columns; j++) c[i * columns + j]! += a[i * inner + k]! * b[k * columns + j]!
  return c
}

function transposed(a: FloatArray, rows: number, columns: number): Float64Array {
  return Float64Array.from(
    { length: rows * columns },
    (_, i) => a[(i % rows) * columns + Math.floor(i / rows)]!,
  )
}

/** Eigenvectors of a symmetric matrix by Jacobi rotations, largest value first: nothing of the product's decompositions. */
function jacobi(symmetric: Float64Array, n: number): { values: number[]; vectors: number[][] } {
  const a = symmetric.slice()
  const v = Float64Array.from({ length: n * n }, (_, i) => (Math.floor(i / n) === i % n ? 1 : 0))
  for (let sweep = 0; sweep < 40; sweep++)
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const off = a[p * n + q]!
        if (Math.abs(off) < 1e-300) continue
        const theta = (a[q * n + q]! - a[p * n + p]!) / (2 * off)
        const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1))
        const c = 1 / Math.hypot(t, 1)
        const s = t * c
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k * n + p]!, a[k * n + q]!]
          a[k * n + p] = c * x - s * y
          a[k * n + q] = s * x + c * y
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[p * n + k]!, a[q * n + k]!]
          a[p * n + k] = c * x - s * y
          a[q * n + k] = s * x + c * y
          const [f, g] = [v[k * n + p]!, v[k * n + q]!]
          v[k * n + p] = c * f - s * g
          v[k * n + q] = s * f + c * g
        }
      }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j]! - a[i * n + i]!)
  return {
    values: order.map((i) => a[i * n + i]!),
    vectors: order.map((i) => Array.from({ length: n }, (_, k) => v[k * n + i]!)),
  }
}

/** Right and left singular vectors by their Gram matrices, and the values. */
function reference(w: FloatArray, rows: number, columns: number) {
  const d = Math.min(rows, columns)
  const right = jacobi(product(transposed(w, rows, columns), w, columns, rows, columns), columns)
  const left = jacobi(product(w, transposed(w, rows, columns), rows, columns, rows), rows)
  return {
    s: right.values.slice(0, d).map((value) => Math.sqrt(Math.max(0, value))),
    u: left.vectors.slice(0, d),
    v: right.vectors.slice(0, d),
  }
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0)
const energy = (a: ArrayLike<number>) => dot(a, a)
const rowOf = (a: FloatArray, i: number, columns: number) => a.subarray(i * columns, (i + 1) * columns)

describe.each(algebras)('the analyses equal a reference by Jacobi rotations, with $name', (algebra) => {
  test.each([
    { rows: 14, columns: 20 },
    { rows: 20, columns: 14 },
    { rows: 16, columns: 16 },
  ])('$rows x $columns', ({ rows, columns }) => {
    const w = Float32Array.from(gaussian(rows * columns, 1))
    // A spike that is alike to all of W0's output directions and so to none, beside noise.
    const directions = reference(w, rows, columns).v
    const spread = Float64Array.from({ length: columns }, (_, k) =>
      directions.reduce((sum, v) => sum + v[k]!, 0),
    )
    const spike = product(gaussian(rows, 2), spread, rows, 1, columns)
    const noise = gaussian(rows * columns, 4, 0.05)
    const delta = spike.map((value, i) => 3 * value + noise[i]!)
    const after = delta.map((value, i) => value + w[i]!)
    const base = decomposeBase(algebra, w, { rows, columns, rank: 2 })
    const { measures, profiles } = analyse(algebra, base, delta, usual)
    const [before, now, own] = [w, after, delta].map((one) => reference(one, rows, columns))
    const d = Math.min(rows, columns)

    const overlaps = now!.v
      .slice(0, 10)
      .map((v) => Math.max(...before!.v.map((one) => Math.abs(dot(v, one)))))
    overlaps.forEach((overlap, j) => expect(profiles.overlaps![j]).toBeCloseTo(overlap, 8))
    expect(measures.intruders).toBe(overlaps.filter((overlap) => overlap < 0.5).length)
    expect(measures.intruders).toBeGreaterThan(0)
    const along = overlaps.map((overlap, j) =>
      overlap < 0.5
        ? energy(Array.from({ length: rows }, (_, i) => dot(rowOf(delta, i, columns), now!.v[j]!)))
        : 0,
    )
    expect(measures.intruderEnergy).toBeCloseTo(along.reduce((sum, one) => sum + one, 0) / energy(delta), 8)
    const difference = before!.s.map((value, i) => value - now!.s[i]!)
    expect(measures.singularValueDrift).toBeCloseTo(Math.sqrt(energy(difference) / energy(before!.s)), 8)
    expect(measures.relativeSpectralNorm).toBeCloseTo(own!.s[0]! / before!.s[0]!, 8)
    expect(measures.relativeFrobeniusNorm).toBeCloseTo(Math.sqrt(energy(delta) / energy(w)), 8)

    // cos² of principal angles are the eigenvalues of CᵀC.
    const depth = 10
    const largest = [
      [before!.u, now!.u],
      [before!.v, now!.v],
    ].map(([a, b]) => {
      const c = Float64Array.from({ length: depth * depth }, (_, i) =>
        dot(a![Math.floor(i / depth)]!, b![i % depth]!),
      )
      const cosines = jacobi(product(transposed(c, depth, depth), c, depth, depth, depth), depth).values
      return (Math.acos(Math.sqrt(cosines.at(-1)!)) * 180) / Math.PI
    })
    expect(measures.rotationLargest).toBeCloseTo(Math.max(...largest), 5)

    const inputShare = (i: number) =>
      energy(
        Array.from({ length: columns }, (_, j) =>
          dot(
            before!.u[i]!,
            Array.from({ length: rows }, (_, k) => delta[k * columns + j]!),
          ),
        ),
      ) / energy(delta)
    const outputShare = (i: number) =>
      energy(Array.from({ length: rows }, (_, k) => dot(rowOf(delta, k, columns), before!.v[i]!))) /
      energy(delta)
    for (const [device] of [0, 1, 2].entries()) {
      const [first, second] = [2 * device, 2 * device + 1]
      expect(profiles.inputSliceShares![device]).toBeCloseTo(inputShare(first) + inputShare(second), 8)
      expect(profiles.outputSliceShares![device]).toBeCloseTo(outputShare(first) + outputShare(second), 8)
    }
    for (const shares of [profiles.inputShares!, profiles.outputShares!, profiles.inputSliceShares!])
      expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12)
    expect(profiles.inputSizes!.reduce((sum, size) => sum + size, 0)).toBe(rows)
    expect(profiles.outputSizes!.reduce((sum, size) => sum + size, 0)).toBe(columns)

    const between = [0, 1].flatMap((i) =>
      [0, 1].map((j) =>
        dot(
          own!.u[i]!,
          Array.from({ length: rows }, (_, k) =>
            dot(
              rowOf(after, k, columns).map((value, at) => value - delta[k * columns + at]!),
              own!.v[j]!,
            ),
          ),
        ),
      ),
    )
    expect(measures.amplification).toBeCloseTo(Math.sqrt(energy(delta) / energy(between)), 6)
    expect(profiles.inputVectors).toHaveLength(rows * Math.min(16, d))
  })
})

describe('edge cases of the definitions', () => {
  const algebra = createPortable()
  const [rows, columns] = [24, 16]
  const w = Float32Array.from(gaussian(rows * columns, 5))
  const base = decomposeBase(algebra, w, { rows, columns, rank: 2 })

  test('a ΔW of zero has moved nothing, and has no energy to share out', () => {
    const { measures, profiles, leading } = analyse(algebra, base, new Float64Array(rows * columns), usual)
    expect(measures).toMatchObject({
      intruders: 0,
      singularValueDrift: 0,
      relativeSpectralNorm: 0,
      bfloat16Visible: 0,
      relativelyChanged: 0,
      spikeRatio: 0,
    })
    expect(measures.rotationLargest).toBeLessThan(1e-5)
    expect(measures.smallestOverlap).toBeCloseTo(1, 12)
    expect(measures).not.toHaveProperty('intruderEnergy')
    expect(measures).not.toHaveProperty('visibleInPrincipal')
    expect(profiles).not.toHaveProperty('inputShares')
    expect(leading).toBeNull()
  })

  test('a W0 of zeros has no directions to compare with', () => {
    const zero = decomposeBase(algebra, new Float32Array(rows * columns), { rows, columns, rank: 2 })
    expect(analyse(algebra, zero, gaussian(rows * columns, 6), usual).measures).toEqual({})
  })

  test('a scaled weight drifts by the factor and turns by nothing', () => {
    const { measures } = analyse(
      algebra,
      base,
      Float64Array.from(w, (value) => 0.01 * value),
      usual,
    )
    expect(measures.singularValueDrift).toBeCloseTo(0.01, 12)
    expect(measures.rotationLargest).toBeLessThan(1e-9)
    expect(measures.intruders).toBe(0)
    expect(measures.relativelyChanged).toBe(1)
  })

  test.each([30, 1e-3, 1e-7])(
    'a turn by %d° of the tenth direction into the eleventh is told as that',
    (angle) => {
      const size = 12
      const w = Float64Array.from({ length: size * size }, (_, i) =>
        i % (size + 1) === 0 ? size - i / (size + 1) : 0,
      )
      const [sine, cosine] = [Math.sin((angle * Math.PI) / 180), Math.cos((angle * Math.PI) / 180)]
      const turned = w.slice()
      // The output directions 10 and 11 turned; their singular values stay.
      for (const i of [9, 10]) {
        turned[i * size + 9] = w[i * size + 9]! * cosine - w[i * size + 10]! * sine
        turned[i * size + 10] = w[i * size + 9]! * sine + w[i * size + 10]! * cosine
      }
      const one = decomposeBase(algebra, w, { rows: size, columns: size, rank: 2 })
      const { measures } = analyse(
        algebra,
        one,
        turned.map((value, i) => value - w[i]!),
        usual,
      )
      expect(measures.rotationLargest! / angle).toBeCloseTo(1, 6)
      expect(measures.rotationMedian).toBeLessThan(1e-9)
      expect(measures.singularValueDrift).toBeLessThan(1e-12)
    },
  )

  test('an update along one pair of W0’s directions lies in their bands alone', () => {
    const [i, j] = [3, 15]
    const delta = Float64Array.from(
      { length: rows * columns },
      (_, at) => base.u[Math.floor(at / columns) * columns + i]! * base.v[(at % columns) * columns + j]!,
    )
    const { profiles } = analyse(algebra, base, delta, usual)
    // Slices of 2: directions 2 and 3 are the second device’s, 15 is beyond 3 devices.
    ;[0, 1, 0, 0].forEach((share, band) => expect(profiles.inputSliceShares![band]).toBeCloseTo(share, 12))
    ;[0, 0, 0, 1].forEach((share, band) => expect(profiles.outputSliceShares![band]).toBeCloseTo(share, 12))
    expect(Array.from(profiles.inputSliceSizes!)).toEqual([2, 2, 2, 18])
    // The input side is longer than there are directions: one more band.
    expect(profiles.inputSizes).toHaveLength(11)
    expect(profiles.inputSizes!.at(-1)).toBe(rows - columns)
  })

  test('bfloat16 sees what crosses half a unit, ties to even', () => {
    const ones = new Float32Array(rows * columns).fill(1)
    const flat = decomposeBase(algebra, ones, { rows, columns, rank: 2 })
    const visible = (change: number) =>
      analyse(algebra, flat, new Float64Array(rows * columns).fill(change), usual).measures.bfloat16Visible
    expect(visible(2 ** -8)).toBe(0)
    expect(visible(2 ** -8 + 2 ** -12)).toBe(1)
    expect(visible(2 ** -30)).toBe(0)
    const one = new Float64Array(rows * columns)
    one[5] = 0.5
    expect(analyse(algebra, flat, one, usual).measures.bfloat16Visible).toBe(1 / (rows * columns))
  })

  test('visible entries by chance: a mask has 30 % of all', () => {
    const { measures } = analyse(
      algebra,
      base,
      Float64Array.from(w, (value) => value),
      usual,
    )
    const share = Math.floor(0.3 * rows * columns) / (rows * columns)
    expect(measures.bfloat16Visible).toBe(1)
    expect(measures.visibleInPrincipal).toBe(share)
    expect(measures.visibleInLow).toBe(share)
  })
})

describe('the strength at which a spike leaves the bulk', () => {
  test('of independent normal entries of variance 1/q it is near (p/q)^(1/4), the known transition', () => {
    const algebra = selectLinearAlgebra().algebra
    const [p, q] = [192, 320]
    const s = algebra.singularValues(gaussian(p * q, 7, q ** -0.5), p, q)
    const [atTop] = spikeThresholds(s, q)
    expect(atTop!.outliers).toBe(0)
    // The regularised edge of a finite spectrum lies a few percent below the limit.
    expect(atTop!.threshold).toBeGreaterThan(0.85 * (p / q) ** 0.25)
    expect(atTop!.threshold).toBeLessThan(1.02 * (p / q) ** 0.25)
  })

  test('outliers are left out of a second edge, and counted', () => {
    const bulk = Array.from({ length: 60 }, (_, i) => 1 - i / 100)
    const [atTop, below] = spikeThresholds(Float64Array.from([40, 30, ...bulk]), 62)
    expect(atTop).toMatchObject({ outliers: 0 })
    expect(below).toMatchObject({ outliers: 2 })
    expect(below!.edge).toBeCloseTo(1.005, 12)
    const phi = bulk.reduce((sum, s) => sum + 1.005 / (1.005 ** 2 - s ** 2), 0) / 60
    const ratio = 60 / 62
    expect(below!.threshold).toBeCloseTo((phi * (ratio * phi + (1 - ratio) / 1.005)) ** -0.5, 10)
    expect(below!.threshold).toBeLessThan(atTop!.threshold)
  })

  test('there is none without a bulk or a gap', () => {
    expect(spikeThresholds(new Float64Array(11).fill(1), 11)).toEqual([])
    expect(spikeThresholds(new Float64Array(40).fill(1), 40)).toEqual([])
  })
})

test('subspaces of earlier snapshots: 1 for the same directions, 0 for orthogonal ones', () => {
  const [rows, columns] = [12, 10]
  const algebra = createPortable()
  const watched = new WatchedBases(algebra)
  const w = Float32Array.from(gaussian(rows * columns, 8))
  const along = (inputs: number[], factor: number) =>
    Float64Array.from({ length: rows * columns }, (_, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns]
      return inputs[j] === i ? factor * (2 - j) : 0
    })
  const snapshot = (step: number, after: Float64Array) =>
    watched.analyse(
      { kind: 'dense', rows, columns, after, before: null },
      { keptAs: 'module', w, step, settings: usual },
    ).profiles.similarity
  expect(Array.from(snapshot(10, along([0, 1], 1))!)).toEqual([])
  expect(Array.from(snapshot(20, along([1, 0], 3))!)).toEqual([10, expect.closeTo(1, 12)])
  expect(Array.from(snapshot(30, along([1, 5], 3))!)).toEqual([
    10,
    expect.closeTo(0.5, 12),
    20,
    expect.closeTo(0.5, 12),
  ])
  // A run that went back to a checkpoint has no later snapshots.
  expect(Array.from(snapshot(20, along([4, 5], 3))!)).toEqual([10, expect.closeTo(0, 12)])
})
