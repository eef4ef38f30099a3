/**
 * Where the spectrum of W_t − W_0 drowns in float32 rounding. Weights updated in place are rounded at every
 * step; the errors add up like a random matrix with entries σ = ulp(w)/√12 · √t, whose largest singular value
 * is about σ (√m + √n). Methods that keep factors have no such floor. Pure.
 */
import type { MethodConfig } from '@rankscope/protocol'

/** Spacing of float32 numbers at |w| ≈ 0.02, a typical weight of a trained model. */
const typicalUlp = 2 ** -29

/** Estimated floor in units of singular values; null for methods whose ΔW comes from factors. */
export function roundingFloor(
  method: MethodConfig,
  step: number,
  rows: number,
  columns: number,
): number | null {
  const updatesInPlace = method.name === 'hd-pissa' || method.name === 'full' || method.name === 'lora-dwu'
  if (!updatesInPlace || step === 0) return null
  if (method.name === 'hd-pissa' && method.compensated !== 'none') return null
  return (typicalUlp / Math.sqrt(12)) * Math.sqrt(step) * (Math.sqrt(rows) + Math.sqrt(columns))
}
