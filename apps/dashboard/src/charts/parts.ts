/** The parts of an update with attribution: how they are called and drawn, and what a table tells of them. Pure. */
import { type SpectrumPart, spectrumParts } from '@rankscope/protocol'
import type { SpectrumIndex } from '../live/spectra.ts'
import type { Curve } from './scalar-figure.ts'

export const partLabels: Record<SpectrumPart, string> = {
  total: 'ΔW',
  'first-order': '1st order',
  'second-order': '2nd order',
  rounding: 'rounding',
}

export const partDashes: Record<SpectrumPart, Curve['dash']> = {
  total: 'solid',
  'first-order': 'dashdot',
  'second-order': 'dash',
  rounding: 'dot',
}

/** Measures that the table needs. */
export const partMeasures = [
  'frobenius',
  'stableRank',
  'tailRatioAt2Kr',
  'beyondFirstOrder',
  'noiseFloor',
] as const

export type PartRow = {
  part: SpectrumPart
  step: number
  frobenius: number
  /** σ₁ = ‖·‖_F / √(stable rank) */
  largest: number
  /** Null where 2Kr is not below min(m, n). */
  tailRatio: number | null
  /** ‖P X Q‖_F; 0 for the first-order part by construction. */
  beyond: number | null
  /** Of the energy beyond the first order, second order and rounding together. */
  share: number | null
}

/**
 * The parts of one module’s update at a step (null: the newest), all of one step: that of the newest total at or before
 * it. Empty for a run without attribution.
 */
export function partRows(spectra: SpectrumIndex, module: string, step: number | null): PartRow[] {
  const whole = step === null ? spectra.latest(module, 'total') : spectra.at(module, 'total', step)
  const at = (part: SpectrumPart) =>
    spectra.list(module, part).findLast((entry) => entry.step === whole?.step) ?? null
  const measureAt = (part: SpectrumPart, measure: string) => {
    const entry = at(part)
    return entry && spectra.measureOf(entry, measure)
  }
  const entries = spectrumParts.flatMap((part) => at(part) ?? [])
  if (entries.length < 2) return []
  const energy = (part: SpectrumPart) => (measureAt(part, 'beyondFirstOrder') ?? 0) ** 2
  const both = energy('second-order') + energy('rounding')
  return entries.map((entry) => {
    const { part } = entry
    const frobenius = measureAt(part, 'frobenius') ?? 0
    const stableRank = measureAt(part, 'stableRank') ?? 0
    const beyond = part === 'first-order' ? 0 : measureAt(part, 'beyondFirstOrder')
    const isShare = part === 'second-order' || part === 'rounding'
    return {
      part,
      step: entry.step,
      frobenius,
      largest: stableRank > 0 ? frobenius / Math.sqrt(stableRank) : 0,
      tailRatio: measureAt(part, 'tailRatioAt2Kr'),
      beyond: measureAt('total', 'beyondFirstOrder') === null ? null : beyond,
      share: isShare && both > 0 ? energy(part) / both : null,
    }
  })
}
