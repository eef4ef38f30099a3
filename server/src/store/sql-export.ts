/**
 * All points of a run’s scalars as the text of a file, in pieces: the thread that reads them writes them, so that
 * neither memory nor another request pays for the length of a run.
 */
import { toJsonNumber } from '@rankscope/protocol'
import type { Kysely } from 'kysely'
import type { Tables } from './schema.ts'
import { withRun } from './snapshot.ts'
import { edgeStep } from './sql-points.ts'
import type { ExportFormat, ExportPage } from './store.ts'
import type { Texts } from './texts.ts'

/** Points per piece. */
const piecePoints = 20_000

type Column = { name: string; nameKey: number }
type Points = { step: number; timeMs: number; value: number | null }[]

/** `position`: null at the beginning, then `next` of the piece before; null as `next` is the end. */
export function exportPage(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  format: ExportFormat,
  names: string[] | null,
  position: string | null,
): Promise<ExportPage> {
  return withRun<ExportPage>(db, runId, { text: '', next: null }, async ({ transaction, runKey }) => {
    const columns = await columnsOf(transaction, texts, runKey, names)
    const read = (nameKey: number, fromStep: number, limit: number): Promise<Points> =>
      transaction
        .selectFrom('points')
        .select(['step', 'timeMs', 'value'])
        .where('runKey', '=', runKey)
        .where('nameKey', '=', nameKey)
        .where('step', '>=', fromStep)
        .orderBy('step')
        .limit(limit)
        .execute()
    const lastStep = async (nameKey: number) => (await edgeStep(transaction, runKey, nameKey, 'desc')) ?? 0
    return format === 'json'
      ? series(columns, position, read, lastStep)
      : rows(columns, format, position, read)
  })
}

async function columnsOf(
  db: Kysely<Tables>,
  texts: Texts,
  runKey: number,
  names: string[] | null,
): Promise<Column[]> {
  const found = await db.selectFrom('series').select('nameKey').where('runKey', '=', runKey).execute()
  const known = await texts.resolve(
    db,
    found.map((row) => row.nameKey),
  )
  const wanted = names && new Set(names)
  return found
    .map(({ nameKey }) => ({ nameKey, name: known.get(nameKey)! }))
    .filter(({ name }) => !wanted || wanted.has(name))
    .sort((left, right) => (left.name < right.name ? -1 : 1))
}

type Read = (nameKey: number, fromStep: number, limit: number) => Promise<Points>

/** One row per step. CSV spells numbers that are not finite NaN, Infinity, -Infinity; no point leaves a field empty. */
async function rows(
  columns: Column[],
  format: 'csv' | 'jsonl',
  position: string | null,
  read: Read,
): Promise<ExportPage> {
  const from = Number(position ?? 0)
  const limit = Math.max(16, Math.ceil(piecePoints / Math.max(1, columns.length)))
  const pieces: Points[] = []
  // Rows are whole up to the step at which the first of the columns was cut off.
  let end = Number.POSITIVE_INFINITY
  for (const { nameKey } of columns) {
    const points = await read(nameKey, from, limit)
    if (points.length === limit) end = Math.min(end, points.at(-1)!.step)
    pieces.push(points)
  }
  const steps = new Set<number>()
  for (const points of pieces) for (const { step } of points) if (step <= end) steps.add(step)
  const places = pieces.map(() => 0)
  const lines: string[] = []
  if (position === null && format === 'csv')
    lines.push(['step', ...columns.map(({ name }) => quoted(name))].join(','))
  for (const step of [...steps].sort((left, right) => left - right)) {
    const values = pieces.map((points, column) => {
      const point = points[places[column]!]
      if (point?.step !== step) return undefined
      places[column]! += 1
      return point.value ?? Number.NaN
    })
    lines.push(format === 'csv' ? [step, ...values].join(',') : toObject(step, columns, values))
  }
  const text = lines.map((line) => `${line}\n`).join('')
  return { text, next: end === Number.POSITIVE_INFINITY ? null : String(end + 1) }
}

function toObject(step: number, columns: readonly Column[], values: readonly (number | undefined)[]): string {
  const present = columns.flatMap(({ name }, index) => {
    const value = values[index]
    return value === undefined ? [] : [[name, toJsonNumber(value)]]
  })
  return JSON.stringify({ step, values: Object.fromEntries(present) })
}

/** What a series is written of, one list after the other. */
const lists = [
  { opens: '"steps":[', pick: (point: Points[number]) => point.step },
  { opens: '],"timesMs":[', pick: (point: Points[number]) => point.timeMs },
  { opens: '],"values":[', pick: (point: Points[number]) => toJsonNumber(point.value ?? Number.NaN) },
] as const

/**
 * One object per series. Its lists are read one after the other, up to the step that was the last when the first of
 * them was begun, so that a run that goes on meanwhile leaves them equally long.
 */
async function series(
  columns: Column[],
  position: string | null,
  read: Read,
  lastStep: (nameKey: number) => Promise<number>,
): Promise<ExportPage> {
  const [index, list, from, to] = (position ?? '0.0.0.-1').split('.').map(Number) as [
    number,
    number,
    number,
    number,
  ]
  const column = columns[index]
  let text = position === null ? '[' : ''
  if (!column) return { text: `${text}]\n`, next: null }
  if (from === 0) {
    if (list === 0) text += `${index === 0 ? '' : ','}{"name":${JSON.stringify(column.name)},`
    text += lists[list]!.opens
  }
  const points = await read(column.nameKey, from, piecePoints)
  const last = to >= 0 ? to : await lastStep(column.nameKey)
  const within = points.filter(({ step }) => step <= last)
  const items = within.map((point) => JSON.stringify(lists[list]!.pick(point))).join(',')
  text += items === '' || from === 0 ? items : `,${items}`
  if (within.length === piecePoints)
    return { text, next: [index, list, within.at(-1)!.step + 1, last].join('.') }
  if (list < lists.length - 1) return { text, next: [index, list + 1, 0, last].join('.') }
  return { text: `${text}]}`, next: [index + 1, 0, 0, -1].join('.') }
}

function quoted(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
