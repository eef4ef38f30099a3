/** Records of a run in SQL: those after a cursor, and those of one kind by pages. */
import type { RecordKind, StoredRecord } from '@rankscope/protocol'
import { type Kysely, type Selectable, sql } from 'kysely'
import { isSuperseded } from '../runs/projection.ts'
import { decodeBody, nameBody } from './record-body.ts'
import { kindCodes, type Tables } from './schema.ts'
import { withRun } from './snapshot.ts'
import type { Texts } from './texts.ts'

/** A page of records for a browser stays below about this size. */
const pageBytes = 1_000_000
/** Of one kind, such as the lines of a log, a page may hold about so much. */
const kindBytes = 8 * 2 ** 20

export function recordsAfter(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  afterCursor: number,
  limit: number,
): Promise<StoredRecord[]> {
  return withRun<StoredRecord[]>(db, runId, [], async ({ transaction, runKey }) => {
    const rows: Selectable<Tables['records']>[] = []
    let bytes = 0
    // In small portions: a spectrum may take a page by itself, hundreds of scalars may not fill one.
    while (rows.length < limit && bytes < pageBytes) {
      const portion = await transaction
        .selectFrom('records')
        .selectAll()
        .where('runKey', '=', runKey)
        .where('cursor', '>', rows.at(-1)?.cursor ?? afterCursor)
        .orderBy('cursor')
        .limit(Math.min(100, limit - rows.length))
        .execute()
      rows.push(...portion)
      for (const row of portion) bytes += row.body.byteLength
      if (portion.length < 100) break
    }
    return toRecords(transaction, texts, runId, rows)
  })
}

export function recordsOfKind(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  kind: RecordKind,
  range: { beforeCursor: number | null; limit: number },
): Promise<{ records: StoredRecord[]; next: number | null; cursor: number }> {
  const absent = { records: [], next: null, cursor: 0 }
  return withRun<Awaited<ReturnType<typeof recordsOfKind>>>(
    db,
    runId,
    absent,
    async ({ transaction, runKey, run }) => {
      const rows: Selectable<Tables['records']>[] = []
      let before = range.beforeCursor ?? Number.MAX_SAFE_INTEGER
      let bytes = 0
      let isMore = true
      while (isMore && rows.length < range.limit && bytes < kindBytes) {
        let query = transaction
          .selectFrom('records')
          .selectAll()
          .where('runKey', '=', runKey)
          .where('kind', '=', kindCodes[kind])
          .where('cursor', '<', before)
        if (kind !== 'scalars') query = query.where('kind', '<>', sql.lit(kindCodes.scalars)) // the partial index
        const wanted = Math.min(100, range.limit - rows.length)
        const portion = await query.orderBy('cursor', 'desc').limit(wanted).execute()
        rows.push(...portion)
        for (const row of portion) bytes += row.body.byteLength
        isMore = portion.length === wanted
        before = portion.at(-1)?.cursor ?? before
      }
      const records = await toRecords(transaction, texts, runId, rows.reverse())
      const current = records.filter(
        ({ attempt, body }) => !('step' in body) || !isSuperseded(run.progress, attempt, body.step),
      )
      return { records: current, next: isMore ? before : null, cursor: run.lastCursor }
    },
  )
}

async function toRecords(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  rows: readonly Selectable<Tables['records']>[],
): Promise<StoredRecord[]> {
  const raw = rows.map((row) => decodeBody(row.body))
  const names = await texts.resolve(
    db,
    raw.flatMap((body) => ('pairs' in body ? body.pairs.map(([key]) => key) : [])),
  )
  return rows.map((row, index) => ({
    runId,
    attempt: row.attempt,
    seq: row.seq,
    timeMs: row.timeMs,
    cursor: row.cursor,
    body: nameBody(raw[index]!, names),
  }))
}
