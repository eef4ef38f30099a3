/** Columns of the runs list: a few by default, and every field that the runs have on request. Pure. */
import { methodLabel, type RunView } from '@rankscope/protocol'
import { formatAge, formatCount, formatDuration, formatNumber, formatPercent } from '../common/format.ts'
import { settingTitle } from '../launch/schema.ts'
import { type FieldValue, fieldReader, valueText } from './run-fields.ts'
import { progressOf } from './run-figures.ts'

export type RunColumn = {
  id: string
  title: string
  /** In pixels. */
  width: number
  numeric: boolean
  /** What it sorts by; null comes last whichever way. */
  value: (run: RunView, nowMs: number) => FieldValue
  text: (run: RunView, nowMs: number) => string
  /** How a mean over several runs is written; of numeric columns. */
  format?: (value: number | null) => string
  /** Changes while one looks: told anew every second. */
  counts?: boolean
}

const fixed: readonly RunColumn[] = [
  column('state', 'State', 92, (run) => run.state),
  { ...column('progress', 'Progress', 136, progressOf), text: () => '' },
  {
    ...column('label', 'Method', 200, (run) => methodLabel(run.config)),
    text: (run) =>
      'rank' in run.config.method && run.config.job.kind === 'training'
        ? `${methodLabel(run.config)}, r = ${run.config.method.rank}`
        : methodLabel(run.config),
  },
  number('loss', 'Loss', 76, formatNumber),
  number('accuracy', 'Accuracy', 86, formatPercent),
  number('effectiveRank', 'Eff. rank', 84, formatNumber),
  number('speed', 'Tokens/s', 84, formatCount),
  { ...number('time', 'Time', 104, formatDuration), counts: true },
  {
    ...column('created', 'Created', 96, (run) => run.createdMs),
    text: (run, nowMs) => formatAge(run.createdMs, nowMs),
    counts: true,
  },
]
export const defaultColumns: readonly string[] = fixed.map(({ id }) => id)

/** The column of a field; null where no run has it. */
export function columnOf(
  id: string,
  fields: ReadonlySet<string>,
  example: RunView | undefined,
): RunColumn | null {
  const known = fixed.find((candidate) => candidate.id === id)
  if (known) return known
  const read = fieldReader(id, fields)
  if (!read) return null
  const title =
    example && id.includes('.') && !id.startsWith('summary.') ? settingTitle(example.config, id) : id
  const sample = example ? read(example, 0) : null
  const numeric = typeof sample === 'number' || id.startsWith('summary.') || id.includes('/')
  return {
    id,
    title,
    width: numeric ? 104 : 140,
    numeric,
    value: read,
    ...(numeric ? { format: (value: number | null) => formatNumber(value, 4) } : {}),
    text: (run, nowMs) => {
      const value = read(run, nowMs)
      return numeric && (typeof value === 'number' || value === null)
        ? formatNumber(value, 4)
        : valueText(value)
    },
  }
}

function column(id: string, title: string, width: number, value: RunColumn['value']): RunColumn {
  return { id, title, width, numeric: false, value, text: (run, now) => valueText(value(run, now)) }
}

function number(
  id: string,
  title: string,
  width: number,
  format: (value: number | null) => string,
): RunColumn {
  const value = fieldReader(id, new Set())!
  return {
    id,
    title,
    width,
    numeric: true,
    value,
    format,
    text: (run, now) => format(value(run, now) as number | null),
  }
}
