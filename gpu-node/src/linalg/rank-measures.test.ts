import { existsSync, readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Random } from '../random.ts'
import {
  clipBelow,
  effectiveRank,
  energyRank,
  float32RoundingDeviation,
  float64Epsilon,
  noiseFloor,
  numericalRank,
  participationRatio,
  participationRatioOfValues,
  rankMeasures,
  relativeThreshold,
  spectralEntropyRank,
  stableRank,
  tailRatio,
} from './rank-measures.ts'

const smooth = {
  effectiveRank,
  spectralEntropyRank,
  stableRank,
  participationRatio,
  participationRatioOfValues,
}
const spectra = fc
  .array(fc.double({ min: 1e-9, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 })
  .map((values) => values.sort((a, b) => b - a))
const slack = 1 + 1e-12

describe('rank measures', () => {
  test('of the identity are its order, of a rank-1 spectrum 1', () => {
    for (const measure of Object.values(smooth)) {
      expect(measure(Array(9).fill(3))).toBeCloseTo(9, 12)
      expect(measure([5, 0, 0, 0])).toBeCloseTo(1, 14)
    }
    expect(energyRank([1, 1, 1, 1], 0.75)).toBe(3)
    expect(numericalRank([5, 1e-3, 0], 1e-4)).toBe(2)
  })

  test('are unchanged when the matrix is scaled, even to the ends of the float64 range', () => {
    fc.assert(
      fc.property(spectra, fc.constantFrom(1e-280, 1e-3, 7, 1e290), (s, factor) => {
        const scaled = s.map((value) => value * factor)
        for (const measure of Object.values(smooth)) expect(measure(scaled) / measure(s)).toBeCloseTo(1, 9)
        const shape = { rows: s.length, columns: 64 }
        const rank = (x: number[]) => numericalRank(x, relativeThreshold(x, shape, float64Epsilon))
        expect(rank(scaled)).toBe(rank(s))
      }),
    )
  })

  test('lie between 1 and the number of nonzero values, and are ordered: stable <= participation <= entropy', () => {
    fc.assert(
      fc.property(spectra, fc.nat(5), (s, zeros) => {
        const padded = [...s, ...Array<number>(zeros).fill(0)]
        for (const measure of Object.values(smooth)) {
          expect(measure(padded)).toBeGreaterThanOrEqual(1 / slack)
          expect(measure(padded)).toBeLessThanOrEqual(s.length * slack)
          expect(measure(padded)).toBeCloseTo(measure(s), 9)
        }
        // Rényi entropies of p ~ s² of order infinity, 2 and 1; and p ~ s is flatter than p ~ s².
        expect(stableRank(s)).toBeLessThanOrEqual(participationRatio(s) * slack)
        expect(participationRatio(s)).toBeLessThanOrEqual(spectralEntropyRank(s) * slack)
        expect(spectralEntropyRank(s)).toBeLessThanOrEqual(effectiveRank(s) * slack)
        expect(participationRatioOfValues(s)).toBeLessThanOrEqual(effectiveRank(s) * slack)
      }),
    )
  })

  test('the energy rank is the smallest one that holds the share', () => {
    fc.assert(
      fc.property(spectra, fc.double({ min: 0.05, max: 0.999, noNaN: true }), (s, share) => {
        const energy = (count: number) => s.slice(0, count).reduce((total, value) => total + value * value, 0)
        const k = energyRank(s, share)
        expect(energy(k)).toBeGreaterThanOrEqual((share * energy(s.length)) / slack)
        expect(energy(k - 1)).toBeLessThan(share * energy(s.length) * slack)
      }),
    )
  })

  test('a zero or empty spectrum has measure 0, one with NaN or infinity has NaN', () => {
    const shape = { rows: 4, columns: 3 }
    for (const s of [[], [0, 0, 0]]) {
      for (const value of Object.values(rankMeasures(s, shape))) expect(value).toBe(0)
      expect(participationRatioOfValues(s)).toBe(0)
    }
    for (const s of [
      [Number.NaN, 1, 0],
      [1, Number.NaN, 0],
      [Number.POSITIVE_INFINITY, 1, 0],
    ]) {
      for (const value of Object.values(rankMeasures(s, shape))) expect(value).toBeNaN()
      expect(tailRatio(s, 1)).toBeNaN()
    }
  })

  test('the tail ratio is the (lower) median beyond q over the value at q, and NaN where there is none', () => {
    expect(tailRatio([8, 4, 3, 2, 1], 2)).toBe(2 / 4)
    expect(tailRatio([8, 4, 3, 2], 2)).toBe(2 / 4)
    for (const q of [0, 4, 9]) expect(tailRatio([8, 4, 3, 2], q)).toBeNaN()
    expect(tailRatio([8, 0, 0], 2)).toBeNaN()
  })

  test('the noise floor of one float32 rounding at 0.02 in 4096 x 4096 is 7e-8, and grows as sqrt(steps)', () => {
    const deviation = float32RoundingDeviation(Float32Array.of(0.02, -0.02))
    expect(deviation).toBeCloseTo(5.4e-10, 11)
    expect(noiseFloor(deviation, { rows: 4096, columns: 4096 })).toBeCloseTo(6.9e-8, 9)
    expect(noiseFloor(1, { rows: 4, columns: 9 }, 16)).toBe(20)
    expect([...clipBelow([3, 2, 1], 2)]).toEqual([3, 2, 0])
  })

  test('the rounding deviation is what rounding random weights to float32 leaves', () => {
    const weights = new Random(2).fillNormal(new Float64Array(20_000), 0, 0.02)
    const rounded = Float32Array.from(weights)
    const squares = weights.reduce((total, value, i) => total + (value - rounded[i]!) ** 2, 0)
    expect(Math.sqrt(squares / weights.length) / float32RoundingDeviation(rounded)).toBeCloseTo(1, 1)
  })
})

const shared = process.env['RANKSCOPE_SHARED'] ?? new URL('../../../../shared', import.meta.url).pathname
const cases = `${shared}/golden/cases`

interface GoldenMeasures extends Readonly<Record<string, number>> {
  readonly numerical_rank_relative_tau_max_mn_eps32_s1: number
  readonly tau_relative_eps32: number
  readonly numerical_rank_absolute_tau_0p005: number
  readonly energy_rank_rho_0p90: number
  readonly energy_rank_rho_0p99: number
  readonly entropy_effective_rank_p_from_s: number
  readonly spectral_entropy_rank_p_from_s_squared: number
  readonly stable_rank: number
  readonly participation_ratio_s_squared: number
  readonly participation_ratio_s: number
}
interface GoldenRun {
  readonly singular_values_of_delta_w_final: Readonly<Record<string, number[]>>
  readonly effective_rank_measures_final: Readonly<Record<string, GoldenMeasures>>
}

describe.skipIf(!existsSync(cases))(
  `rank measures of the golden runs (skipped where ${cases} is absent)`,
  () => {
    test.each(existsSync(cases) ? readdirSync(cases) : [])('%s', (name) => {
      const expected = JSON.parse(readFileSync(`${cases}/${name}/expected.json`, 'utf8'))
      const config = JSON.parse(readFileSync(`${cases}/${name}/config.json`, 'utf8'))
      const r: number = config.rank_per_device_r ?? config.rank_r ?? 0
      const devices: number = config.devices_K ?? 1
      const marks = { r, '2r': 2 * r, Kr: devices * r, '2Kr': 2 * devices * r }
      const runs = ['official_float32', 'reference_float32', 'float64_truth'].filter((run) => run in expected)
      expect(runs.length).toBeGreaterThan(0)
      for (const run of runs) {
        const golden: GoldenRun = expected[run]
        for (const [module, measures] of Object.entries(golden.effective_rank_measures_final)) {
          compare(golden.singular_values_of_delta_w_final[module]!, measures, marks)
        }
      }
    })
  },
)

/** Stored values have twelve digits. Ranks whose threshold lies at float64's rounding floor are not compared. */
function compare(s: number[], golden: GoldenMeasures, marks: Record<string, number>): void {
  const relative = (actual: number, wanted: number) => expect(actual / wanted).toBeCloseTo(1, 9)
  const longerSide = golden.tau_relative_eps32 / (2 ** -23 * s[0]!)
  expect(longerSide).toBeCloseTo(Math.round(longerSide), 6)
  const measures = rankMeasures(s, { rows: Math.round(longerSide), columns: s.length })
  relative(measures.numericalRankThreshold, golden.tau_relative_eps32)
  expect(measures.numericalRank).toBe(golden.numerical_rank_relative_tau_max_mn_eps32_s1)
  expect(numericalRank(s, 0.005)).toBe(golden.numerical_rank_absolute_tau_0p005)
  expect(measures.energyRank90).toBe(golden.energy_rank_rho_0p90)
  expect(measures.energyRank99).toBe(golden.energy_rank_rho_0p99)
  relative(measures.effectiveRank, golden.entropy_effective_rank_p_from_s)
  relative(measures.spectralEntropyRank, golden.spectral_entropy_rank_p_from_s_squared)
  relative(measures.stableRank, golden.stable_rank)
  relative(measures.participationRatio, golden.participation_ratio_s_squared)
  relative(participationRatioOfValues(s), golden.participation_ratio_s)
  for (const [mark, q] of Object.entries(marks)) {
    const wanted = golden[`tail_ratio_median_after_${mark}_over_s_at_${mark}`]
    if (wanted !== undefined) relative(tailRatio(s, q), wanted)
  }
}
