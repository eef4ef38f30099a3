/** A run as the API and the live feed show it. */
import type { RunView } from '@rankscope/protocol'
import { gangOf } from '../scheduler/gang.ts'
import type { Waiting } from '../scheduler/place.ts'
import type { StoredRun } from '../store/store.ts'

export function toRunView(run: StoredRun, waiting: Waiting | undefined): RunView {
  const { runId, name, state, attempt, config, nodeId, createdMs, startedMs, endedMs, progress } = run
  const { phase, step, totalSteps, latest, start, summary, checkpoint, error } = progress
  return {
    runId,
    name,
    state,
    attempt,
    config,
    nodeId,
    gang: [...gangOf(run)],
    createdMs,
    startedMs,
    endedMs,
    queuePosition: waiting?.queuePosition ?? null,
    phase,
    step,
    totalSteps,
    latest,
    start,
    summary,
    checkpoint,
    error,
    waitingFor: waiting?.waitingFor ?? null,
  }
}
