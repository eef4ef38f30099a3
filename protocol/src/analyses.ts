/**
 * Analyses of ΔW against the weight W₀ [m, n] that it changes: single numbers, which are measures of a spectrum record, and
 * profiles with a number per direction, band or earlier snapshot. Input side: the m rows (right singular vectors of a
 * weight [out, in]); output side: the n columns (its left ones). Formulas and sources: docs/methods.md, Analyses.
 */
import { z } from 'zod'
import { float64Bytes } from './number.ts'

/** Float64 bytes each. */
export const analysisProfilesSchema = z.strictObject({
  /** c_j of the leading directions of W₊ */
  overlaps: float64Bytes.exactOptional(),
  /** rows of depth, median and largest angle of the input side, the same of the output side; degrees */
  rotation: float64Bytes.exactOptional(),
  /** rows of outliers left out, edge, strength of a spike that leaves the bulk */
  thresholds: float64Bytes.exactOptional(),
  /** directions per band of W₀’s own, and the band’s share of ‖ΔW‖_F²: deciles, then what lies beyond them */
  inputSizes: float64Bytes.exactOptional(),
  inputShares: float64Bytes.exactOptional(),
  outputSizes: float64Bytes.exactOptional(),
  outputShares: float64Bytes.exactOptional(),
  /** the same by the slices of HD-PiSSA’s devices, then everything beyond K r */
  inputSliceSizes: float64Bytes.exactOptional(),
  inputSliceShares: float64Bytes.exactOptional(),
  outputSliceSizes: float64Bytes.exactOptional(),
  outputSliceShares: float64Bytes.exactOptional(),
  /** pairs of an earlier step and the similarity of its leading input subspace to this one */
  similarity: float64Bytes.exactOptional(),
  /** depth of that subspace, and what chance gives */
  similarityChance: float64Bytes.exactOptional(),
  /** ΔW’s leading singular vectors, [side, count] row by row; of final spectra */
  inputVectors: float64Bytes.exactOptional(),
  outputVectors: float64Bytes.exactOptional(),
})
export type AnalysisProfiles = z.infer<typeof analysisProfilesSchema>
export const analysisProfileNames = Object.keys(analysisProfilesSchema.shape) as [
  keyof AnalysisProfiles,
  ...(keyof AnalysisProfiles)[],
]
