/** Numbers of a run that lists, sorting and the query bar use: the final one where the run has ended, else the latest. Pure. */
import { fromJsonNumber, isSettled, type RunView, scalarNames } from '@rankscope/protocol'

type NumberField = 'loss' | 'accuracy'

export function latestScalar(run: RunView, name: string): number | null {
  const value = run.latest[name]
  return value === undefined ? null : fromJsonNumber(value)
}

export function summaryFigure(run: RunView, key: string): number | null {
  const value = run.summary?.[key]
  return value === undefined || value === null ? null : fromJsonNumber(value)
}

export function runFigure(run: RunView, field: NumberField): number | null {
  switch (field) {
    case 'loss':
      return summaryFigure(run, 'finalLoss') ?? latestScalar(run, scalarNames.trainLoss)
    case 'accuracy':
      return summaryFigure(run, 'accuracy') ?? latestScalar(run, scalarNames.accuracy)
    default:
      return field satisfies never
  }
}

export function tokensPerSecond(run: RunView): number | null {
  return summaryFigure(run, 'tokensPerSecond') ?? latestScalar(run, scalarNames.tokensPerSecond)
}

/** Seconds since the run started, or that it took; null before it starts. */
export function elapsedSeconds(run: RunView, nowMs: number): number | null {
  if (run.startedMs === null) return null
  return Math.max(0, ((run.endedMs ?? nowMs) - run.startedMs) / 1000)
}

/** Share of the steps done, 0..1; null while the number of steps is unknown. */
export function progressOf(run: RunView): number | null {
  if (run.state === 'finished') return 1
  // Of one step: its phase knows more.
  if (run.config.job.kind === 'evaluation')
    return run.phase?.phase === 'evaluating' ? run.phase.progress : null
  return run.totalSteps === null || run.totalSteps === 0 ? null : Math.min(1, run.step / run.totalSteps)
}

/** Seconds left at the present speed; null where that cannot be said. */
export function secondsLeft(run: RunView): number | null {
  const stepMs = latestScalar(run, scalarNames.stepTimeMs)
  if (isSettled(run.state) || run.totalSteps === null || stepMs === null || run.step === 0) return null
  return ((run.totalSteps - run.step) * stepMs) / 1000
}
