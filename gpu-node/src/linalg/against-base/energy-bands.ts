/**
 * Where ΔW [m, n] puts its energy among W0's own singular directions: ‖U0,bᵀ ΔW‖_F² / ‖ΔW‖_F² for bands b of U0's columns
 * (input side), ‖ΔW V0,b‖_F² / ‖ΔW‖_F² for V0's (output side). By chance a band of |b| directions gets |b| / side.
 */
import type { LinearAlgebra } from '../linear-algebra.ts'
import type { BaseDecomposition } from './base-decomposition.ts'

export interface EnergyBands {
  /** Directions of each band; they add up to the side. */
  readonly sizes: Float64Array
  /** Share of the energy; they add up to 1. */
  readonly shares: Float64Array
}

/** Ends of ten bands of about equal size over `values` directions. */
export function deciles(values: number): number[] {
  const ends = Array.from({ length: 10 }, (_, band) => Math.round(((band + 1) * values) / 10))
  return [...new Set(ends)].filter((end) => end > 0)
}

/** One band per device, k r .. (k + 1) r - 1, as HD-PiSSA shares W0's directions out. */
export function deviceSlices(values: number, rank: number, devices: number): number[] {
  return Array.from({ length: devices }, (_, device) => (device + 1) * rank).filter((end) => end <= values)
}

/** Shares of the energy of ΔW by direction: `input` [d] along U0's columns, `output` [d] along V0's. */
export function directionEnergies(
  algebra: LinearAlgebra,
  { rows, columns, u, v, s }: Pick<BaseDecomposition, 'rows' | 'columns' | 'u' | 'v' | 's'>,
  delta: Float64Array,
): { input: Float64Array; output: Float64Array } {
  const values = s.length
  const inputs = algebra.multiply(u, delta, { rows: values, inner: rows, columns, transposeLeft: true })
  const outputs = algebra.multiply(delta, v, { rows, inner: columns, columns: values })
  let total = 0
  for (const value of delta) total += value * value
  const input = new Float64Array(values)
  const output = new Float64Array(values)
  for (let i = 0; i < values; i++)
    for (let j = 0; j < columns; j++) input[i]! += inputs[i * columns + j]! ** 2 / total
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < values; j++) output[j]! += outputs[i * values + j]! ** 2 / total
  return { input, output }
}

/**
 * Energies by direction joined to bands that end before each of `ends`; what is left, other directions and those that the
 * thin decomposition does not have, is a last band of its own.
 */
export function bandsOf(energies: Float64Array, ends: readonly number[], side: number): EnergyBands {
  const sizes: number[] = []
  const shares: number[] = []
  let start = 0
  let told = 0
  for (const end of ends) {
    const share = energies.subarray(start, end).reduce((sum, energy) => sum + energy, 0)
    sizes.push(end - start)
    shares.push(share)
    told += share
    start = end
  }
  if (start < side) {
    sizes.push(side - start)
    shares.push(Math.max(0, 1 - told))
  }
  return { sizes: Float64Array.from(sizes), shares: Float64Array.from(shares) }
}
