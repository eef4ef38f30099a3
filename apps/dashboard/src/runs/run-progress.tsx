/** How far a run is, in words: steps, or its phase before training begins. */
import type { RunView } from '@rankscope/protocol'
import { formatExact, formatPercent } from '../common/format.ts'

/** `phase` in words, with its own progress where it has one. */
export function phaseText(run: RunView): string | null {
  if (!run.phase) return null
  const words = run.phase.phase.replaceAll('-', ' ')
  const share = run.phase.progress === null ? '' : ` ${formatPercent(run.phase.progress)}`
  return `${words}${share}${run.phase.detail ? ` (${run.phase.detail})` : ''}`
}

export function progressText(run: RunView): string {
  if (run.state === 'queued')
    return run.queuePosition === null ? 'waiting' : `waiting, number ${run.queuePosition}`
  const phase = run.phase?.phase
  if (run.state === 'running' && phase && phase !== 'training') return phaseText(run) ?? ''
  if (run.totalSteps === null) return run.step === 0 ? '–' : formatExact(run.step)
  return `${formatExact(run.step)} / ${formatExact(run.totalSteps)}`
}
