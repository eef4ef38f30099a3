/**
 * What pages read, in SQL. Each answer is one snapshot together with the run’s cursor at that moment, so that a
 * live subscription from that cursor on neither misses nor repeats anything.
 */
import {
  fromFloat64Bytes,
  type RecordKind,
  type SpectrumPart,
  type SpectrumView,
  type StoredRecord,
  toJsonNumber,
} from '@rankscope/protocol'
import { type Kysely, type Selectable, sql } from 'kysely'
import { isSuperseded } from '../runs/projection.ts'
import { decodeBody, nameBody } from './record-body.ts'
import { kindCodes, partCodes, type SpectrumOverview, type Tables } from './schema.ts'
import type { Series } from './series.ts'
import { readSeries } from './sql-points.ts'
import { readRun } from './sql-runs.ts'
import type { SeriesQuery, SpectraQuery, SpectrumEntry, StoredRun } from './store.ts'
import type { Texts } from './texts.ts'

/** A page of records for a browser stays below about this size. */
const pageBytes = 1_000_000

type Snapshot = { transaction: Kysely<Tables>; runKey: number; run: StoredRun }

/** Read within one snapshot; `absent` where there is no such run. */
async function withRun<T>(
  db: Kysely<Tables>,
  runId: string,
  absent: T,
  read: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  return db.transaction().execute(async (transaction) => {
    const row = await transaction.selectFrom('runs').selectAll().where('runId', '=', runId).executeTakeFirst()
    return row ? read({ transaction, runKey: row.runKey, run: readRun(row) }) : absent
  })
}

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
): Promise<{ records: StoredRecord[]; cursor: number }> {
  return withRun(db, runId, { records: [], cursor: 0 }, async ({ transaction, runKey, run }) => {
    let query = transaction
      .selectFrom('records')
      .selectAll()
      .where('runKey', '=', runKey)
      .where('kind', '=', kindCodes[kind])
    if (kind !== 'scalars') query = query.where('kind', '<>', sql.lit(kindCodes.scalars)) // the partial index
    if (range.beforeCursor !== null) query = query.where('cursor', '<', range.beforeCursor)
    const rows = await query.orderBy('cursor', 'desc').limit(range.limit).execute()
    const records = await toRecords(transaction, texts, runId, rows.reverse())
    const current = records.filter(
      ({ attempt, body }) => !('step' in body) || !isSuperseded(run.progress, attempt, body.step),
    )
    return { records: current, cursor: run.lastCursor }
  })
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

export function series(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  query: SeriesQuery,
): Promise<{ series: Series[]; cursor: number }> {
  return withRun<{ series: Series[]; cursor: number }>(
    db,
    runId,
    { series: [], cursor: 0 },
    async ({ transaction, runKey, run }) => {
      const rows = await transaction
        .selectFrom('series')
        .select(['nameKey', 'builtTo'])
        .where('runKey', '=', runKey)
        .execute()
      const names = await texts.resolve(
        transaction,
        rows.map((row) => row.nameKey),
      )
      const wanted = query.names && new Set(query.names)
      const answer: Series[] = []
      for (const row of rows) {
        const name = names.get(row.nameKey)!
        if (wanted && !wanted.has(name)) continue
        const range = { fromStep: query.fromStep, toStep: query.toStep, limit: query.points }
        answer.push({ name, ...(await readSeries(transaction, runKey, row, range)) })
      }
      answer.sort((left, right) => (left.name < right.name ? -1 : 1))
      return { series: answer, cursor: run.lastCursor }
    },
  )
}

export function spectra(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  wanted: SpectraQuery,
): Promise<{ spectra: SpectrumView[]; cursor: number }> {
  return withRun<{ spectra: SpectrumView[]; cursor: number }>(
    db,
    runId,
    { spectra: [], cursor: 0 },
    async ({ transaction, runKey, run }) => {
      let query = transaction
        .selectFrom('spectra')
        .innerJoin('records', (join) =>
          join.onRef('records.runKey', '=', 'spectra.runKey').onRef('records.cursor', '=', 'spectra.cursor'),
        )
        .select('records.body')
        .where('spectra.runKey', '=', runKey)
      if (wanted.module !== null) {
        const key = await texts.find(transaction, wanted.module)
        if (key === null) return { spectra: [], cursor: run.lastCursor }
        query = query.where('spectra.moduleKey', '=', key)
      }
      if (wanted.part !== null) query = query.where('spectra.part', '=', partCodes[wanted.part])
      if (wanted.step !== null) query = query.where('spectra.step', '=', wanted.step)
      if (wanted.final !== null) query = query.where('spectra.final', '=', wanted.final ? 1 : 0)
      const rows = await query.orderBy('spectra.step').orderBy('spectra.cursor').execute()
      return { spectra: rows.map((row) => readSpectrum(row.body)), cursor: run.lastCursor }
    },
  )
}

function readSpectrum(bytes: Uint8Array): SpectrumView {
  const raw = decodeBody(bytes)
  if (!('kept' in raw) || raw.kept.kind !== 'spectrum') throw new Error('not a spectrum')
  const { step, module, part, rows, columns, frobenius, measures, final, singularValues } = raw.kept
  return {
    step,
    module,
    part,
    rows,
    columns,
    final,
    singularValues: Array.from(fromFloat64Bytes(singularValues), toJsonNumber),
    frobenius: toJsonNumber(frobenius),
    measures: Object.fromEntries(
      Object.entries(measures).map(([name, value]) => [name, toJsonNumber(value)]),
    ),
  }
}

export function spectraIndex(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
): Promise<{ entries: SpectrumEntry[]; cursor: number }> {
  return withRun<{ entries: SpectrumEntry[]; cursor: number }>(
    db,
    runId,
    { entries: [], cursor: 0 },
    async ({ transaction, runKey, run }) => {
      const rows = await transaction
        .selectFrom('spectra')
        .selectAll()
        .where('runKey', '=', runKey)
        .orderBy('step')
        .orderBy('cursor')
        .execute()
      const names = await texts.resolve(
        transaction,
        rows.map((row) => row.moduleKey),
      )
      const parts = new Map(Object.entries(partCodes).map(([part, code]) => [code, part as SpectrumPart]))
      const entries = rows.map((row) => ({
        step: row.step,
        module: names.get(row.moduleKey)!,
        part: parts.get(row.part as (typeof partCodes)[SpectrumPart])!,
        rows: row.rows,
        columns: row.columns,
        final: row.final === 1,
        ...(JSON.parse(row.overview) as SpectrumOverview),
      }))
      return { entries, cursor: run.lastCursor }
    },
  )
}
