/** The lines of the runs list: runs in order, under headings where they are grouped by a field. Pure. */
import type { RunView } from '@rankscope/protocol'
import { spread } from '../compare/summary.ts'
import type { RunColumn } from './run-columns.ts'
import { type FieldValue, valueText } from './run-fields.ts'

export type GroupLine = {
  kind: 'group'
  name: string
  runs: RunView[]
  /** Mean and deviation of each numeric column over the runs that have it, by column id. */
  means: ReadonlyMap<string, ReturnType<typeof spread>>
}
export type Line = { kind: 'run'; run: RunView } | GroupLine

/** By the column’s value, runs without one last; runs that are equal in it the newest first. */
export function sortRuns(
  runs: readonly RunView[],
  { value }: Pick<RunColumn, 'value'>,
  descending: boolean,
  nowMs: number,
): RunView[] {
  const keyed = runs.map((run) => ({ run, key: sortKey(value(run, nowMs)) }))
  const sign = descending ? -1 : 1
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) {
      if (a.key !== b.key) return a.key === null ? 1 : -1
    } else {
      const order =
        typeof a.key === 'number' && typeof b.key === 'number'
          ? a.key - b.key
          : String(a.key).localeCompare(String(b.key), 'en', { numeric: true })
      if (order !== 0) return sign * order
    }
    return b.run.createdMs - a.run.createdMs
  })
  return keyed.map(({ run }) => run)
}

function sortKey(value: FieldValue): string | number | null {
  if (value === null || (typeof value === 'number' && Number.isNaN(value))) return null
  return typeof value === 'number' ? value : valueText(value)
}

/** Sorted runs under a heading per value of a field, in the order of the groups’ first runs; closed groups show theirs alone. */
export function groupLines(
  sorted: readonly RunView[],
  read: (run: RunView) => FieldValue,
  columns: readonly RunColumn[],
  closed: ReadonlySet<string>,
  nowMs: number,
): Line[] {
  const groups = new Map<string, RunView[]>()
  for (const run of sorted) {
    const name = valueText(read(run))
    const members = groups.get(name)
    if (members) members.push(run)
    else groups.set(name, [run])
  }
  return [...groups].flatMap(([name, runs]): Line[] => {
    const means = new Map(
      columns
        .filter((column) => column.numeric)
        .map((column) => [
          column.id,
          spread(
            runs.map((run) => {
              const value = column.value(run, nowMs)
              return typeof value === 'number' ? value : null
            }),
          ),
        ]),
    )
    const heading: Line = { kind: 'group', name, runs, means }
    return closed.has(name) ? [heading] : [heading, ...runs.map((run): Line => ({ kind: 'run', run }))]
  })
}
