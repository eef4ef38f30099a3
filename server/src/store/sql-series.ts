/** Series of a run in SQL: their names, the points or buckets of some, and the same as columns of bytes. */
import {
  encodeColumn,
  encodeCounts,
  encodeSteps,
  type Precision,
  type SeriesAnswer,
} from '@rankscope/protocol'
import type { Kysely } from 'kysely'
import { isOneOf, lists } from './bulk.ts'
import type { Tables } from './schema.ts'
import type { Series } from './series.ts'
import { withRun } from './snapshot.ts'
import { readSeries } from './sql-points.ts'
import type { ColumnsQuery, SeriesQuery } from './store.ts'
import type { Texts } from './texts.ts'

/** One answer of columns grows to about this size. */
const columnsBytes = 4 * 2 ** 20
/** One answer in JSON has about so many points. */
const answerPoints = 100_000

type Found = { name: string; nameKey: number; builtTo: number }

/** Series of the run, ascending by name: those wanted, or all. */
async function find(
  db: Kysely<Tables>,
  texts: Texts,
  runKey: number,
  names: readonly string[] | null,
): Promise<Found[]> {
  const found: Found[] = []
  if (names === null) {
    const rows = await db
      .selectFrom('series')
      .select(['nameKey', 'builtTo'])
      .where('runKey', '=', runKey)
      .execute()
    const known = await texts.resolve(
      db,
      rows.map((row) => row.nameKey),
    )
    for (const row of rows) found.push({ ...row, name: known.get(row.nameKey)! })
  } else {
    const keys = new Map<number, string>()
    for (const name of new Set(names)) {
      const key = await texts.find(db, name)
      if (key !== null) keys.set(key, name)
    }
    for (const some of lists([...keys.keys()])) {
      const rows = await db
        .selectFrom('series')
        .select(['nameKey', 'builtTo'])
        .where('runKey', '=', runKey)
        .where(isOneOf('nameKey', some))
        .execute()
      for (const row of rows) found.push({ ...row, name: keys.get(row.nameKey)! })
    }
  }
  return found.sort((left, right) => (left.name < right.name ? -1 : 1))
}

export function seriesNames(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  after: string | null,
  limit: number,
): Promise<{ names: string[]; next: string | null; cursor: number }> {
  const absent: { names: string[]; next: string | null; cursor: number } = {
    names: [],
    next: null,
    cursor: 0,
  }
  return withRun(db, runId, absent, async ({ transaction, runKey, run }) => {
    const all = (await find(transaction, texts, runKey, null)).map(({ name }) => name)
    const rest = after === null ? all : all.filter((name) => name > after)
    const names = rest.slice(0, limit)
    return { names, next: rest.length > limit ? names.at(-1)! : null, cursor: run.lastCursor }
  })
}

export function series(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  query: SeriesQuery,
): Promise<{ series: Series[]; next: string | null; cursor: number }> {
  const absent: { series: Series[]; next: string | null; cursor: number } = {
    series: [],
    next: null,
    cursor: 0,
  }
  return withRun(db, runId, absent, async ({ transaction, runKey, run }) => {
    const { after = null, limit = Number.POSITIVE_INFINITY } = query
    const found = await find(transaction, texts, runKey, query.names)
    const rest = after === null ? found : found.filter(({ name }) => name > after)
    const range = { fromStep: query.fromStep, toStep: query.toStep, limit: query.points }
    const answer: Series[] = []
    let points = 0
    for (const { name, ...one } of rest.slice(0, limit)) {
      if (points >= answerPoints) break
      const read = await readSeries(transaction, runKey, one, range)
      answer.push({ name, ...read })
      points += read.buckets.length
    }
    const next = answer.length < rest.length ? answer.at(-1)!.name : null
    return { series: answer, next, cursor: run.lastCursor }
  })
}

/** Series of several runs as bytes; see `column-api.ts`. At least the first query is answered. */
export async function seriesColumns(
  db: Kysely<Tables>,
  texts: Texts,
  { queries, precision, times }: ColumnsQuery,
): Promise<SeriesAnswer> {
  const runs: SeriesAnswer['runs'] = []
  let bytes = 0
  for (const [index, query] of queries.entries()) {
    if (bytes >= columnsBytes) return { runs, next: index }
    const one = await withRun<SeriesAnswer['runs'][number]>(
      db,
      query.runId,
      null,
      async ({ transaction, runKey, run }) => {
        const { fromStep = null, toStep = null } = query
        const range = { fromStep, toStep, limit: query.points }
        const columns = []
        for (const { name, ...found } of await find(transaction, texts, runKey, query.names)) {
          const read = await readSeries(transaction, runKey, found, range)
          columns.push(toColumns({ name, ...read }, precision, times))
        }
        return { runId: query.runId, series: columns, cursor: run.lastCursor }
      },
    )
    for (const { last, min } of one?.series ?? []) bytes += last.byteLength * (min ? 3 : 1)
    runs.push(one)
  }
  return { runs, next: null }
}

function toColumns(
  { name, total, buckets }: Series,
  precision: Precision,
  times: boolean,
): NonNullable<SeriesAnswer['runs'][number]>['series'][number] {
  const isJoined = buckets.length < total
  const column = (pick: 'last' | 'min' | 'max') =>
    encodeColumn(
      buckets.map((bucket) => bucket[pick]),
      precision,
    )
  return {
    name,
    total,
    steps: encodeSteps(buckets.map((bucket) => bucket.step)),
    last: column('last'),
    min: isJoined ? column('min') : null,
    max: isJoined ? column('max') : null,
    nanCounts: isJoined ? encodeCounts(buckets.map((bucket) => bucket.nanCount)) : null,
    timesMs: times
      ? encodeColumn(
          buckets.map((bucket) => bucket.timeMs),
          'float64',
        )
      : null,
  }
}
