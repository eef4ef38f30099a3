/** A measure of every module of a model as a map: layers down, projections across; and how its values are coloured. Pure. */
import type { SpectrumPart } from '@rankscope/protocol'
import type { MeasureName } from '../charts/measures.ts'
import { compareModules, type SpectrumIndex } from '../live/spectra.ts'

export type MapCell = {
  module: string
  layer: string
  projection: string
  /** Of the newest spectrum at or before the wanted step; null where there is none. */
  step: number | null
  /** Null where the spectrum has no such measure. */
  value: number | null
}

/** One cell per module that has a spectrum, in the model’s order. `step` null: the newest of each. */
export function mapCells(
  spectra: SpectrumIndex,
  wanted: { measure: MeasureName; part: SpectrumPart; step: number | null },
): MapCell[] {
  const { measure, part, step } = wanted
  return spectra
    .modules()
    .map((module): MapCell => {
      const at = spectra.newestStep(module, part, step)
      const value = at === null ? null : spectra.valueAt(module, part, measure, at)
      return { module, ...placeOf(module), step: at, value }
    })
    .sort((a, b) => compareModules(a.module, b.module))
}

/** Cells with the baseline’s value of the same module taken off; modules that one of them lacks have none. */
export function difference(cells: readonly MapCell[], baseline: readonly MapCell[]): MapCell[] {
  const base = new Map(baseline.map((cell) => [cell.module, cell.value]))
  return cells.map((cell) => {
    const other = base.get(cell.module) ?? null
    return { ...cell, value: cell.value === null || other === null ? null : cell.value - other }
  })
}

/** Layer and projection of a module; modules outside the layers stand in a row of their own. */
function placeOf(module: string): { layer: string; projection: string } {
  const match = /layers\.(\d+)\..*?([^.]+)$/.exec(module)
  return match ? { layer: match[1]!, projection: match[2]! } : { layer: 'other', projection: module }
}

export const scaleNames = ['quantile', 'log', 'linear'] as const
export type ScaleName = (typeof scaleNames)[number]

export type ColourScale = {
  /** Strength of a value, 0 … 1, of a difference −1 … 1; null for what has no place. */
  strength: (value: number) => number | null
  /** Values for the legend, from the weakest to the strongest. */
  ticks: number[]
  /** What the colours mean, in words. */
  said: string
}

/**
 * quantile: the share of values that are smaller, so that no outlier blinds the rest. log: of the positive ones. Of
 * differences the colours grow linearly to the 95th percentile of their sizes, and say so.
 */
export function colourScale(values: readonly number[], name: ScaleName, isDifference: boolean): ColourScale {
  const finite = values.filter(Number.isFinite).sort((a, b) => a - b)
  if (isDifference) return differenceScale(finite)
  const [least, most] = [finite[0] ?? 0, finite.at(-1) ?? 0]
  if (name === 'quantile') {
    return {
      strength: (value) => (Number.isFinite(value) ? rankOf(finite, value) : null),
      ticks: [...new Set([0, 0.25, 0.5, 0.75, 1].map((share) => quantile(finite, share)))],
      said: `colour: rank among the ${finite.length} shown values (quantiles), not their size`,
    }
  }
  const positive = finite.filter((value) => value > 0)
  const transform = name === 'log' ? Math.log10 : (value: number) => value
  const low = transform(name === 'log' ? (positive[0] ?? 1) : Math.min(0, least))
  const high = transform(most)
  const left = name === 'log' ? finite.length - positive.length : 0
  return {
    strength: (value) => {
      if (!Number.isFinite(value) || (name === 'log' && value <= 0)) return null
      return high > low ? (transform(value) - low) / (high - low) : 1
    },
    ticks: [...new Set([0, 0.5, 1].map((share) => low + share * (high - low)))].map((at) =>
      name === 'log' ? 10 ** at : at,
    ),
    said: `colour: ${name === 'log' ? 'logarithm of the value' : 'proportional to the value'}${left > 0 ? `; ${left} at or below 0 uncoloured` : ''}`,
  }
}

function differenceScale(sorted: readonly number[]): ColourScale {
  const sizes = sorted.map(Math.abs).sort((a, b) => a - b)
  const end = quantile(sizes, 0.95) || sizes.at(-1) || 1
  return {
    strength: (value) => (Number.isFinite(value) ? Math.max(-1, Math.min(1, value / end)) : null),
    ticks: [-end, 0, end],
    said: 'colour: proportional to the difference, up to the 95th percentile of its size',
  }
}

/** 0 for the smallest, 1 for the largest, equal values alike (the middle of their ranks). */
function rankOf(sorted: readonly number[], value: number): number {
  if (sorted.length < 2) return 1
  const below = sorted.filter((other) => other < value).length
  const equal = sorted.filter((other) => other === value).length
  return (below + Math.max(0, equal - 1) / 2) / (sorted.length - 1)
}

/** Linear between the two nearest of the ascending values. */
export function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return 0
  const at = share * (sorted.length - 1)
  const low = Math.floor(at)
  const next = sorted[Math.min(sorted.length - 1, low + 1)]!
  return sorted[low]! + (at - low) * (next - sorted[low]!)
}
