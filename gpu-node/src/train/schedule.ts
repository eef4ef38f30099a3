/**
 * Learning rate per step, as the released HD-PiSSA code and Hugging Face's `LambdaLR` have it (METHODS §1 rows 7
 * to 9). With t the number of steps done, w warm-up steps and T steps in all:
 *
 *   t < w:      peak · t / w          (so that the first step has rate 0; peak · (t+1) / w with warmupStartsAtOne)
 *   cosine:     peak · ½ (1 + cos(π (t − w) / (T − w)))
 *   linear:     peak · (1 − (t − w) / (T − w))
 *   constant:   peak
 *
 * Pure.
 */
import type { RunConfig } from '@rankscope/protocol'

export interface LearningRateSchedule {
  /** w */
  readonly warmupSteps: number
  /** T */
  readonly totalSteps: number
  /** Rate of the step with the given 0-based number. */
  at(step: number): number
}

export function learningRateSchedule(
  schedule: RunConfig['schedule'],
  peak: number,
  steps: { totalSteps: number; legacyTotalSteps: number },
): LearningRateSchedule {
  const totalSteps =
    schedule.totalSteps ?? (schedule.legacyTotalSteps ? steps.legacyTotalSteps : steps.totalSteps)
  const warmupSteps = schedule.warmupSteps ?? Math[schedule.warmupRounding](schedule.warmupRatio * totalSteps)
  const at = (step: number): number => {
    if (step < warmupSteps) return (peak * (step + (schedule.warmupStartsAtOne ? 1 : 0))) / warmupSteps
    // Beyond T (maxSteps above an explicit schedule length) the rate stays where the schedule ended.
    const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps))
    switch (schedule.kind) {
      case 'cosine':
        return 0.5 * peak * (1 + Math.cos(Math.PI * progress))
      case 'linear':
        return peak * (1 - progress)
      case 'constant':
        return peak
      default:
        return schedule.kind satisfies never
    }
  }
  return { warmupSteps, totalSteps, at }
}
