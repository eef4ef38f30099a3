/** All points of a run’s scalars as a file: one row per step, one column per series. */
import { toJsonNumber } from '@rankscope/protocol'
import type { Store } from '../store/store.ts'

/** CSV spells non-finite numbers NaN, Infinity, -Infinity; a step at which a series has no point leaves it empty. */
export async function exportScalars(
  store: Store,
  runId: string,
  format: 'csv' | 'json',
  names: string[] | null,
): Promise<string> {
  const everyPoint = { names, points: Number.MAX_SAFE_INTEGER, fromStep: null, toStep: null }
  const { series } = await store.series(runId, everyPoint)
  if (format === 'json')
    return JSON.stringify(
      series.map(({ name, buckets }) => ({
        name,
        steps: buckets.map((point) => point.step),
        timesMs: buckets.map((point) => point.timeMs),
        values: buckets.map((point) => toJsonNumber(point.last)),
      })),
    )
  const rows = new Map<number, string[]>()
  for (const [column, { buckets }] of series.entries())
    for (const point of buckets) {
      const row = rows.get(point.step) ?? new Array<string>(series.length).fill('')
      row[column] = String(point.last)
      rows.set(point.step, row)
    }
  const header = ['step', ...series.map(({ name }) => quoted(name))].join(',')
  const lines = [...rows]
    .sort(([left], [right]) => left - right)
    .map(([step, values]) => [step, ...values].join(','))
  return `${[header, ...lines].join('\n')}\n`
}

function quoted(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
