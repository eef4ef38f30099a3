/** A run as one row of a table: what lists show of a view, a fraction of its size. */
import { z } from 'zod'
import { settingsOf } from './run-settings.ts'
import { type RunView, runViewSchema } from './views.ts'

export const runRowSchema = runViewSchema.omit({ config: true, start: true, checkpoint: true }).extend({
  /** What differs from the defaults of the method (`run-settings.ts`). */
  settings: z.record(z.string(), z.unknown()),
  /** Step of the newest checkpoint. */
  checkpointStep: z.int().nullable(),
})
export type RunRow = z.infer<typeof runRowSchema>

/** Fields of a row that changed; each is the newest value, so that a change may be applied twice. */
export const runRowChangeSchema = runRowSchema.partial().required({ runId: true })
export type RunRowChange = Partial<RunRow> & Pick<RunRow, 'runId'>

/** Scalars of a row at most: those without a module, whose names have one slash at most. */
const rowScalars = 32

export function toRunRow(view: RunView): RunRow {
  const { config, start: _, checkpoint, latest, ...rest } = view
  const plain = Object.entries(latest).filter(([name]) => name.split('/').length <= 2)
  return {
    ...rest,
    latest: Object.fromEntries(plain.slice(0, rowScalars)),
    settings: settingsOf(config),
    checkpointStep: checkpoint?.step ?? null,
  }
}

/** What brings `before` to `after`; null where nothing changed. */
export function changeOfRow(before: RunRow, after: RunRow): RunRowChange | null {
  const changed = Object.entries(after).filter(
    ([name, value]) => JSON.stringify(before[name as keyof RunRow]) !== JSON.stringify(value),
  )
  return changed.length === 0 ? null : { ...Object.fromEntries(changed), runId: after.runId }
}
