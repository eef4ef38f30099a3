/** What must be said beside overlaid spectra: that they are of other steps than asked for, missing, or skipped. Pure. */
import type { SpectrumPart } from '@rankscope/protocol'
import { formatExact } from '../common/format.ts'
import { type SpectrumIndex, skippedSteps } from '../live/spectra.ts'
import { skippedNote } from './measure-figure.ts'

type Shown = { runId: string; label: string; entry: { step: number } }
type Known = {
  runId: string
  store: { spectra: SpectrumIndex }
  run: { config: { spectra: { everySteps: number | null } } }
}

export function spectrumNotes(
  curves: readonly Known[],
  shown: readonly Shown[],
  { module, part, step }: { module: string; part: SpectrumPart; step: number | null },
): string[] {
  const wanted = step ?? Math.max(...shown.map(({ entry }) => entry.step))
  const others = shown.filter(({ entry }) => entry.step !== wanted)
  const drawn = new Set(shown.map(({ runId }) => runId))
  const missing = curves.filter(({ runId }) => !drawn.has(runId)).length
  const skipped = curves.reduce(
    (sum, { store, run }) =>
      sum + skippedSteps(store.spectra.list(module, part), run.config.spectra.everySteps).length,
    0,
  )
  const list = others.slice(0, 4).map(({ label, entry }) => `${label} of step ${formatExact(entry.step)}`)
  return [
    others.length === 0 || shown.length === 0
      ? []
      : `not of step ${formatExact(wanted)}: ${list.join(', ')}${others.length > 4 ? ` and ${others.length - 4} more` : ''}`,
    missing > 0 && shown.length > 0 ? `${missing} of ${curves.length} runs show no spectrum here` : [],
    skipped > 0 ? skippedNote(skipped) : [],
  ].flat()
}
