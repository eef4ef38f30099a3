/** The points of series and their pyramid of buckets in SQL; `series.ts` has the arithmetic. */
import { type Insertable, type Kysely, sql } from 'kysely'
import { insertRows, isOneOf, lists } from './bulk.ts'
import type { Tables } from './schema.ts'
import {
  type Bucket,
  branching,
  bucketWidth,
  buildLevel,
  chooseLevel,
  coverRange,
  joinSize,
  limitBuckets,
  type Stretch,
  singlePoint,
  stride,
  topLevel,
} from './series.ts'

export type PointRow = Insertable<Tables['points']>

const pointColumns = ['runKey', 'nameKey', 'step', 'attempt', 'seq', 'timeMs', 'value']
const keepNewerPoint = `on conflict ("runKey", "nameKey", "step") do update set
  "attempt" = excluded."attempt", "seq" = excluded."seq", "timeMs" = excluded."timeMs", "value" = excluded."value"
  where "points"."attempt" < excluded."attempt"
    or ("points"."attempt" = excluded."attempt" and "points"."seq" < excluded."seq")`
const bucketColumns = [
  'runKey',
  'nameKey',
  'level',
  'bucket',
  'step',
  'timeMs',
  'last',
  'min',
  'max',
  'count',
  'nanCount',
]

/** Add points of one run; where a step has a point already the newer one (by attempt, then seq) stays. */
export async function addPoints(db: Kysely<Tables>, runKey: number, points: PointRow[]): Promise<void> {
  const bySeries = new Map<number, Map<number, PointRow>>()
  for (const point of points) {
    const steps = bySeries.get(point.nameKey) ?? new Map<number, PointRow>()
    bySeries.set(point.nameKey, steps)
    const known = steps.get(point.step)
    if (!known || isNewer(point, known)) steps.set(point.step, point)
  }
  const rows: unknown[][] = []
  for (const steps of bySeries.values())
    for (const { nameKey, step, attempt, seq, timeMs, value } of steps.values())
      rows.push([runKey, nameKey, step, attempt, seq, timeMs, value])
  await insertRows(db, 'points', pointColumns, rows, keepNewerPoint)
  await keepPyramid(db, runKey, bySeries)
}

function isNewer(point: PointRow, other: PointRow): boolean {
  return point.attempt === other.attempt ? point.seq > other.seq : point.attempt > other.attempt
}

async function keepPyramid(
  db: Kysely<Tables>,
  runKey: number,
  bySeries: ReadonlyMap<number, ReadonlyMap<number, PointRow>>,
): Promise<void> {
  const known = new Map<number, number>()
  for (const nameKeys of lists([...bySeries.keys()])) {
    const rows = await db
      .selectFrom('series')
      .select(['nameKey', 'builtTo'])
      .where('runKey', '=', runKey)
      .where(isOneOf('nameKey', nameKeys))
      .execute()
    for (const row of rows) known.set(row.nameKey, row.builtTo)
  }
  const created = [...bySeries.keys()].filter((nameKey) => !known.has(nameKey))
  await insertRows(
    db,
    'series',
    ['runKey', 'nameKey', 'builtTo'],
    created.map((nameKey) => [runKey, nameKey, 0]),
  )
  for (const [nameKey, steps] of bySeries) {
    let first = Number.POSITIVE_INFINITY
    let last = 0
    for (const step of steps.keys()) {
      first = Math.min(first, step)
      last = Math.max(last, step)
    }
    const builtTo = known.get(nameKey) ?? 0
    let sound = builtTo
    // A late or repeated step: what lies beyond is joined again when the series next grows.
    if (first < builtTo) {
      sound = Math.floor(first / stride) * stride
      await dropBuckets(db, runKey, nameKey, sound)
    }
    const target = Math.floor((last + 1) / stride) * stride
    if (target > sound) await build(db, runKey, nameKey, sound, target)
    if (Math.max(target, sound) !== builtTo)
      await db
        .updateTable('series')
        .set({ builtTo: Math.max(target, sound) })
        .where('runKey', '=', runKey)
        .where('nameKey', '=', nameKey)
        .execute()
  }
}

/** Join the points of [from, to), multiples of the stride, and every wider bucket that is completed thereby. */
async function build(
  db: Kysely<Tables>,
  runKey: number,
  nameKey: number,
  from: number,
  to: number,
): Promise<void> {
  for (let level = 1; level <= topLevel; level++) {
    const width = bucketWidth(level)
    const stretch = {
      level: level - 1,
      from: Math.floor(from / width) * width,
      to: Math.floor(to / width) * width,
    }
    if (stretch.from >= stretch.to) return
    const built = buildLevel(await readStretch(db, runKey, nameKey, stretch), level)
    await insertRows(
      db,
      'buckets',
      bucketColumns,
      built.map(({ index, bucket: { step, timeMs, last, min, max, count, nanCount } }) => [
        runKey,
        nameKey,
        level,
        index,
        step,
        timeMs,
        orNull(last),
        orNull(min),
        orNull(max),
        count,
        nanCount,
      ]),
    )
  }
}

/** Forget buckets that reach beyond `from`, a multiple of the stride; of one series, or of all where null. */
async function dropBuckets(
  db: Kysely<Tables>,
  runKey: number,
  nameKey: number | null,
  from: number,
): Promise<void> {
  for (let level = 1; level <= topLevel; level++) {
    let query = db
      .deleteFrom('buckets')
      .where('runKey', '=', runKey)
      .where('level', '=', level)
      .where('bucket', '>=', Math.floor(from / bucketWidth(level)))
    if (nameKey !== null) query = query.where('nameKey', '=', nameKey)
    await query.execute()
  }
}

/** An attempt goes on from `startStep`: points and spectra of older attempts beyond it leave the charts. */
export async function rewind(
  db: Kysely<Tables>,
  runKey: number,
  attempt: number,
  startStep: number,
): Promise<void> {
  for (const table of ['points', 'spectra'] as const)
    await db
      .deleteFrom(table)
      .where('runKey', '=', runKey)
      .where('attempt', '<', attempt)
      .where('step', '>', startStep)
      .execute()
  const sound = Math.floor((startStep + 1) / stride) * stride
  await dropBuckets(db, runKey, null, sound)
  await db
    .updateTable('series')
    .set({ builtTo: sound })
    .where('runKey', '=', runKey)
    .where('builtTo', '>', sound)
    .execute()
}

/** A series between two steps (inclusive), joined to at most `limit` buckets. */
export async function readSeries(
  db: Kysely<Tables>,
  runKey: number,
  series: { nameKey: number; builtTo: number },
  range: { fromStep: number | null; toStep: number | null; limit: number },
): Promise<{ total: number; buckets: Bucket[] }> {
  const first = await edgeStep(db, runKey, series.nameKey, 'asc')
  const last = await edgeStep(db, runKey, series.nameKey, 'desc')
  if (first === null || last === null) return { total: 0, buckets: [] }
  const from = Math.max(range.fromStep ?? 0, first)
  const to = Math.min(range.toStep ?? last, last) + 1
  const level = chooseLevel(to - from, range.limit)
  const stretches = coverRange(from, to, level, series.builtTo)
  // Counting and joining cost little inside SQLite; each row that leaves it costs microseconds.
  let rows = 0
  for (const stretch of stretches) rows += await countRows(db, runKey, series.nameKey, stretch)
  const size = rows > range.limit ? joinSize(stretches, range.limit) : 1
  const buckets: Bucket[] = []
  for (const stretch of stretches)
    buckets.push(
      ...(size === 1
        ? await readStretch(db, runKey, series.nameKey, stretch)
        : await readJoined(db, runKey, series.nameKey, stretch, size)),
    )
  const total = buckets.reduce((sum, bucket) => sum + bucket.count, 0)
  return { total, buckets: limitBuckets(buckets, range.limit) }
}

/** First or last step of a series: one look into the index, which min() and max() together would scan. */
export async function edgeStep(
  db: Kysely<Tables>,
  runKey: number,
  nameKey: number,
  order: 'asc' | 'desc',
): Promise<number | null> {
  const row = await db
    .selectFrom('points')
    .select('step')
    .where('runKey', '=', runKey)
    .where('nameKey', '=', nameKey)
    .orderBy('step', order)
    .limit(1)
    .executeTakeFirst()
  return row?.step ?? null
}

async function countRows(
  db: Kysely<Tables>,
  runKey: number,
  nameKey: number,
  { level, from, to }: Stretch,
): Promise<number> {
  const width = bucketWidth(level)
  const { rows } = await (level === 0
    ? sql<{ rows: number }>`select count(*) as "rows" from "points"
        where "runKey" = ${runKey} and "nameKey" = ${nameKey} and "step" >= ${from} and "step" < ${to}`
    : sql<{ rows: number }>`select count(*) as "rows" from "buckets"
        where "runKey" = ${runKey} and "nameKey" = ${nameKey} and "level" = ${level}
          and "bucket" >= ${from / width} and "bucket" < ${to / width}`
  ).execute(db)
  return rows[0]!.rows
}

/** As `readStretch`, with neighbours joined by `size` (as `joinBuckets` does) before they leave SQLite. */
async function readJoined(
  db: Kysely<Tables>,
  runKey: number,
  nameKey: number,
  { level, from, to }: Stretch,
  size: number,
): Promise<Bucket[]> {
  const width = bucketWidth(level)
  // Numbers are bound as doubles, by which a division would not be one of integers.
  const { rows } = await (level === 0
    ? sql<JoinedRow>`select p."step", p."timeMs", p."value" as "last", g."min", g."max", g."count", g."nanCount"
        from (select max("step") as "end", min("value") as "min", max("value") as "max", count(*) as "count",
            sum("value" is null) as "nanCount"
          from "points"
          where "runKey" = ${runKey} and "nameKey" = ${nameKey} and "step" >= ${from} and "step" < ${to}
          group by ("step" - cast(${from} as integer)) / cast(${size} as integer)) as g
        join "points" as p on p."runKey" = ${runKey} and p."nameKey" = ${nameKey} and p."step" = g."end"
        order by g."end"`
    : sql<JoinedRow>`select b."step", b."timeMs", b."last", g."min", g."max", g."count", g."nanCount"
        from (select max("bucket") as "end", min("min") as "min", max("max") as "max", sum("count") as "count",
            sum("nanCount") as "nanCount"
          from "buckets"
          where "runKey" = ${runKey} and "nameKey" = ${nameKey} and "level" = ${level}
            and "bucket" >= ${from / width} and "bucket" < ${to / width}
          group by ("bucket" - cast(${from / width} as integer)) / cast(${size} as integer)) as g
        join "buckets" as b on b."runKey" = ${runKey} and b."nameKey" = ${nameKey} and b."level" = ${level}
          and b."bucket" = g."end"
        order by g."end"`
  ).execute(db)
  return rows.map(bucketOf)
}

type JoinedRow = Omit<Bucket, 'last' | 'min' | 'max'> & Record<'last' | 'min' | 'max', number | null>

/** SQLite keeps NaN as null. */
function bucketOf(row: JoinedRow): Bucket {
  return { ...row, last: row.last ?? Number.NaN, min: row.min ?? Number.NaN, max: row.max ?? Number.NaN }
}

async function readStretch(
  db: Kysely<Tables>,
  runKey: number,
  nameKey: number,
  stretch: Stretch,
): Promise<Bucket[]> {
  if (stretch.level === 0) {
    const rows = await db
      .selectFrom('points')
      .select(['step', 'timeMs', 'value'])
      .where('runKey', '=', runKey)
      .where('nameKey', '=', nameKey)
      .where('step', '>=', stretch.from)
      .where('step', '<', stretch.to)
      .orderBy('step')
      .execute()
    return rows.map((row) => singlePoint(row.step, row.value ?? Number.NaN, row.timeMs))
  }
  const width = branching ** stretch.level
  const rows = await db
    .selectFrom('buckets')
    .select(['step', 'timeMs', 'last', 'min', 'max', 'count', 'nanCount'])
    .where('runKey', '=', runKey)
    .where('nameKey', '=', nameKey)
    .where('level', '=', stretch.level)
    .where('bucket', '>=', stretch.from / width)
    .where('bucket', '<', stretch.to / width)
    .orderBy('bucket')
    .execute()
  return rows.map(bucketOf)
}

/** SQLite keeps NaN as null anyway; say so. */
function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value
}
