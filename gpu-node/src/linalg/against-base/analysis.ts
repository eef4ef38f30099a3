/**
 * ΔW [m, n] against the weight W0 that it changes, in float64: one call gives every analysis of one snapshot of one module.
 * What a number is in itself goes into `measures`, beside those of the spectrum; what has a number per direction, band or
 * earlier snapshot into `profiles`. What is not defined (a ΔW or a W0 of zeros, too small a side) is left out.
 */
import type { AnalysisProfiles, RankMeasures } from '@rankscope/protocol'
import type { FloatArray, LinearAlgebra } from '../linear-algebra.ts'
import { euclideanNorm, leadingColumns } from '../matrix.ts'
import { type TopSvd, topSvd } from '../top-svd.ts'
import type { BaseDecomposition } from './base-decomposition.ts'
import { bandsOf, deciles, deviceSlices, directionEnergies } from './energy-bands.ts'
import { intruderDepth, intrudersOf, overlaps } from './intruders.ts'
import { medianAngle, principalAngles } from './rotation.ts'
import { storedChange } from './stored-change.ts'

/** Vectors of ΔW that are kept for comparisons at most. */
export const keptVectors = 16
/** Depth of the rotation that has a measure of its own. */
const rotationDepth = 10

export interface AnalysisSettings {
  /** The method's r; null where it has none. */
  readonly rank: number | null
  readonly devices: number
  /** HD-PiSSA: bands of the devices' slices too. */
  readonly slices: boolean
  /** Keep ΔW's leading singular vectors, to compare with those of another run. */
  readonly vectors: boolean
}

export interface Analysis {
  readonly measures: Partial<RankMeasures>
  readonly profiles: { readonly [name in keyof AnalysisProfiles]: Float64Array }
  /** ΔW's leading vectors on the input side [m, count], for `subspaceSimilarity`; null where ΔW is zero. */
  readonly leading: { readonly vectors: Float64Array; readonly count: number } | null
}

/** `delta` [m, n] in float64. Errors: NUMERIC. */
export function analyse(
  algebra: LinearAlgebra,
  base: BaseDecomposition,
  delta: Float64Array,
  settings: AnalysisSettings,
): Analysis {
  if (base.s[0] === 0) return { measures: {}, profiles: {}, leading: null }
  const after = delta.map((value, i) => base.w[i]! + value)
  const depth = Math.min(base.s.length, Math.max(keptVectors, settings.rank ?? rotationDepth))
  const change = topSvd(algebra, delta, { ...base, rank: depth }, { kind: 'full' })
  const size = euclideanNorm(delta)
  const moved = againstMoved(algebra, base, after, delta, settings)
  const stored = storedChange(base.w, after, base.masks)
  const isZero = size === 0
  const own = isZero ? null : ofChange(algebra, base, delta, change, settings)
  const spikes = base.thresholds.map(({ threshold }) => change.s[0]! / threshold)
  return {
    measures: {
      ...moved.measures,
      ...(spikes.length > 0 && { spikeRatio: spikes[0]! }),
      ...(spikes.length > 0 && { spikeRatioBelowOutliers: spikes.at(-1)! }),
      relativeSpectralNorm: change.s[0]! / base.s[0]!,
      relativeFrobeniusNorm: size / base.frobenius,
      bfloat16Visible: stored.visible,
      relativelyChanged: stored.relative,
      ...(stored.inPrincipal !== null && { visibleInPrincipal: stored.inPrincipal }),
      ...(stored.inLow !== null && { visibleInLow: stored.inLow }),
      ...own?.measures,
    },
    profiles: {
      ...moved.profiles,
      ...own?.profiles,
      thresholds: Float64Array.from(
        base.thresholds.flatMap(({ outliers, edge, threshold }) => [outliers, edge, threshold]),
      ),
    },
    leading: own?.leading ?? null,
  }
}

/** What needs the decomposition of W0 + ΔW. */
function againstMoved(
  algebra: LinearAlgebra,
  base: BaseDecomposition,
  after: FloatArray,
  delta: Float64Array,
  settings: AnalysisSettings,
) {
  const { rows, columns, s } = base
  const values = s.length
  const moved = algebra.svd(Float64Array.from(after), rows, columns)
  const drift = euclideanNorm(s.map((value, i) => moved.s[i]! - value)) / euclideanNorm(s)
  const count = Math.min(intruderDepth, values)
  const found = overlaps(algebra, base.v, moved.v, { side: columns, values, count })
  const intruders = intrudersOf(found)
  const depths = rotationDepths(settings, values)
  const rotation = depths.map((depth) => {
    const angles = (before: Float64Array, now: Float64Array, side: number) =>
      principalAngles(
        algebra,
        leadingColumns(before, side, values, depth),
        leadingColumns(now, side, values, depth),
        side,
        depth,
      )
    const [input, output] = [angles(base.u, moved.u, rows), angles(base.v, moved.v, columns)]
    return [depth, medianAngle(input), input.at(-1)!, medianAngle(output), output.at(-1)!] as const
  })
  const main = rotation.find(([depth]) => depth === Math.min(rotationDepth, values))!
  const energy = energyAlong(algebra, delta, moved.v, intruders, { rows, columns, values })
  return {
    measures: {
      intruders: intruders.length,
      smallestOverlap: found.reduce((least, value) => Math.min(least, value), 1),
      ...(energy !== null && { intruderEnergy: energy }),
      singularValueDrift: drift,
      rotationMedian: Math.max(main[1], main[3]),
      rotationLargest: Math.max(main[2], main[4]),
    },
    profiles: { overlaps: found, rotation: Float64Array.from(rotation.flat()) },
  }
}

/** What needs ΔW, not zero, and its decomposition. */
function ofChange(
  algebra: LinearAlgebra,
  base: BaseDecomposition,
  delta: Float64Array,
  change: TopSvd,
  { rank, devices, slices, vectors }: AnalysisSettings,
) {
  const { rows, columns } = base
  const values = base.s.length
  // Scaled, so that the squares of tiny updates do not underflow.
  const scaled = delta.map((value) => value / change.s[0]!)
  const energies = directionEnergies(algebra, base, scaled)
  const bands = (ends: number[]) => ({
    input: bandsOf(energies.input, ends, rows),
    output: bandsOf(energies.output, ends, columns),
  })
  const byDecile = bands(deciles(values))
  const bySlice = slices && rank !== null ? bands(deviceSlices(values, rank, devices)) : null
  const kept = Math.min(keptVectors, values)
  const [left, right] = [
    leadingColumns(change.u, rows, change.s.length, kept),
    leadingColumns(change.v, columns, change.s.length, kept),
  ]
  const compared = Math.min(kept, rank ?? kept)
  const within = coupling(algebra, base, change, Math.min(values, rank ?? rotationDepth))
  return {
    measures: within > 0 ? { amplification: euclideanNorm(delta) / within } : {},
    profiles: {
      inputSizes: byDecile.input.sizes,
      inputShares: byDecile.input.shares,
      outputSizes: byDecile.output.sizes,
      outputShares: byDecile.output.shares,
      ...(bySlice && {
        inputSliceSizes: bySlice.input.sizes,
        inputSliceShares: bySlice.input.shares,
        outputSliceSizes: bySlice.output.sizes,
        outputSliceShares: bySlice.output.shares,
      }),
      ...(vectors && { inputVectors: left, outputVectors: right }),
    },
    leading: { vectors: leadingColumns(left, rows, kept, compared), count: compared },
  }
}

/** ‖U_rᵀ W0 V_r‖_F with ΔW's own leading vectors (arXiv 2106.09685, section 7.3). */
function coupling(
  algebra: LinearAlgebra,
  { rows, columns, w }: BaseDecomposition,
  change: TopSvd,
  rank: number,
): number {
  const left = leadingColumns(change.u, rows, change.s.length, rank)
  const right = leadingColumns(change.v, columns, change.s.length, rank)
  const half = algebra.multiply(left, Float64Array.from(w), {
    rows: rank,
    inner: rows,
    columns,
    transposeLeft: true,
  })
  return euclideanNorm(algebra.multiply(half, right, { rows: rank, inner: columns, columns: rank }))
}

/** ‖ΔW V_I‖_F² / ‖ΔW‖_F² over the chosen columns of v; null where ΔW is zero. */
function energyAlong(
  algebra: LinearAlgebra,
  delta: Float64Array,
  v: Float64Array,
  chosen: readonly number[],
  { rows, columns, values }: { rows: number; columns: number; values: number },
): number | null {
  const total = euclideanNorm(delta)
  if (total === 0) return null
  if (chosen.length === 0) return 0
  const picked = new Float64Array(columns * chosen.length)
  for (let i = 0; i < columns; i++)
    for (const [place, j] of chosen.entries()) picked[i * chosen.length + place] = v[i * values + j]!
  const along = algebra.multiply(delta, picked, { rows, inner: columns, columns: chosen.length })
  return (euclideanNorm(along) / total) ** 2
}

/** 10, 32, r and 2Kr, as far as there are so many directions; the first of them at most all. */
function rotationDepths({ rank, devices }: AnalysisSettings, values: number): number[] {
  const wanted = [10, 32, ...(rank === null ? [] : [rank, 2 * devices * rank])]
  const depths = [Math.min(rotationDepth, values), ...wanted.filter((depth) => depth <= values)]
  return [...new Set(depths)].sort((a, b) => a - b)
}
