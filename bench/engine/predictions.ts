/**
 * Milliseconds of a step of HD-PiSSA (rank 16, K = 8) on an H100 as they were predicted from rates before anything was
 * measured: 380, 760 and 50 TFLOP/s in TF32, bfloat16 and float32, 80 in attention, 3.0 TB/s. To stand beside measurements.
 */
import type { StepCase } from './sizes.ts'

const predicted: Readonly<Record<string, Readonly<Record<'TF32' | 'bfloat16' | 'float32', number>>>> = {
  '160M': { TF32: 14, bfloat16: 11, float32: 59 },
  '160M-16k': { TF32: 54, bfloat16: 42, float32: 231 },
  '1.1B': { TF32: 80, bfloat16: 57, float32: 407 },
  '1.1B-16k': { TF32: 307, bfloat16: 217, float32: 1587 },
  '7B': { TF32: 406, bfloat16: 259, float32: 2411 },
  '7B-16k': { TF32: 1537, bfloat16: 963, float32: 9387 },
}

/** Null where nothing was predicted. */
export function predictionOf({
  size,
  method,
  devices,
  backend,
  products,
  computeDtype,
}: StepCase): number | null {
  if (backend !== 'cuda' || method !== 'hd-pissa' || devices !== 8) return null
  const precision = computeDtype === 'bfloat16' ? 'bfloat16' : products
  return precision === '3xTF32' ? null : (predicted[size.name]?.[precision] ?? null)
}
