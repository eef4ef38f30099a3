/** Rows of the runs list as views of runs, and what changes them. Pure. */
import { configFromSettings, type RunRow, type RunRowChange, type RunView } from '@rankscope/protocol'

/** `start` and `checkpoint` are not part of a row: null, until the whole view is here. */
export function viewOfRow(row: RunRow): RunView {
  const { settings, checkpointStep: _, ...rest } = row
  return { ...rest, config: configFromSettings(settings), start: null, checkpoint: null } as RunView
}

/** The view with the changed fields; null where a change of an unknown run does not bring all of it. */
export function changedView(view: RunView | undefined, change: RunRowChange): RunView | null {
  const { settings, checkpointStep: _, ...rest } = change
  if (!view) return settings && change.createdMs !== undefined ? viewOfRow(change as RunRow) : null
  const config = settings ? configFromSettings(settings) : view.config
  return { ...view, ...rest, config } as RunView
}
