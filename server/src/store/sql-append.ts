/**
 * Ingest in SQL: keeps the records of a batch once, draws their points, and brings the runs’ state and progress up to
 * date. A record that cannot be kept is rejected by itself; the rest of the batch stays.
 */
import { type ErrorCode, nameFault, type RunRecord, toJsonNumber } from '@rankscope/protocol'
import type { Kysely } from 'kysely'
import { projectRecord } from '../runs/projection.ts'
import { insertRows, isOneOf, lists } from './bulk.ts'
import { encodeBody, namesOf } from './record-body.ts'
import { kindCodes, partCodes, type SpectrumOverview, type Tables } from './schema.ts'
import { addPoints, type PointRow, rewind } from './sql-points.ts'
import { readRun } from './sql-runs.ts'
import type { AppendResult, StoredRun } from './store.ts'
import type { Texts } from './texts.ts'

type Known = { seq: number; timeMs: number; kind: number; body: Uint8Array }
type Candidate = { index: number; record: RunRecord; body: Uint8Array }
type RunBatch = { runKey: number; run: StoredRun; candidates: Candidate[] }

/** Within one transaction. */
export async function append(
  transaction: Kysely<Tables>,
  texts: Texts,
  nodeId: string,
  records: RunRecord[],
): Promise<AppendResult> {
  const result: AppendResult = { cursors: records.map(() => null), rejected: [], runs: [] }
  const reject = (record: RunRecord, code: ErrorCode, message: string) => {
    const { runId, attempt, seq } = record
    result.rejected.push({ runId, attempt, seq, code, message })
  }
  const batches = await loadRuns(transaction, records)
  const accepted = records.flatMap((record, index) => {
    const refusal = fence(batches.get(record.runId)?.run, nodeId, record) ?? unnameable(texts, record)
    if (refusal) reject(record, refusal.code, refusal.message)
    return refusal ? [] : [{ record, index }]
  })
  const keys = await texts.intern(
    transaction,
    accepted.flatMap(({ record }) => namesOf(record.body)),
  )
  for (const { record, index } of accepted)
    batches.get(record.runId)!.candidates.push({ record, index, body: encodeBody(record.body, keys) })
  for (const batch of batches.values()) {
    const fresh = await withoutKnown(transaction, batch, reject)
    if (fresh.length === 0) continue
    const firstCursor = batch.run.lastCursor + 1
    fresh.forEach(({ index }, offset) => {
      result.cursors[index] = firstCursor + offset
    })
    await keep(transaction, batch, fresh, firstCursor, keys)
    result.runs.push(await updateProgress(transaction, batch, fresh))
  }
  return result
}

async function loadRuns(db: Kysely<Tables>, records: readonly RunRecord[]): Promise<Map<string, RunBatch>> {
  const batches = new Map<string, RunBatch>()
  for (const runIds of lists([...new Set(records.map((record) => record.runId))])) {
    const rows = await db.selectFrom('runs').selectAll().where(isOneOf('runId', runIds)).execute()
    for (const row of rows) batches.set(row.runId, { runKey: row.runKey, run: readRun(row), candidates: [] })
  }
  return batches
}

/** Why a record is refused (docs/protocol.md, fencing), or null. */
function fence(
  run: StoredRun | undefined,
  nodeId: string,
  record: RunRecord,
): { code: ErrorCode; message: string } | null {
  if (!run) return { code: 'NOT_FOUND', message: `there is no run ${record.runId}` }
  if (record.attempt < run.attempt)
    return {
      code: 'STALE_ATTEMPT',
      message: `attempt ${record.attempt} of ${run.name} was replaced by attempt ${run.attempt}`,
    }
  if (record.attempt > run.attempt || run.nodeId !== nodeId)
    return {
      code: 'MESSAGE_INVALID',
      message: `attempt ${record.attempt} of ${run.name} was not given to node ${nodeId}`,
    }
  return null
}

/** A name that would come back as another: the column ends at NUL, and UTF-8 has no halves of characters. */
function unnameable(texts: Texts, { body }: RunRecord): { code: ErrorCode; message: string } | null {
  for (const name of namesOf(body)) {
    const fault = texts.has(name) ? null : nameFault(name)
    if (fault !== null)
      return { code: 'MESSAGE_INVALID', message: `the name ${JSON.stringify(name.slice(0, 60))} ${fault}` }
  }
  return null
}

/** Candidates that are not kept yet, each once; one that differs from what is kept is rejected. */
async function withoutKnown(
  db: Kysely<Tables>,
  { runKey, run, candidates }: RunBatch,
  reject: (record: RunRecord, code: ErrorCode, message: string) => void,
): Promise<Candidate[]> {
  if (candidates.length === 0) return []
  const newest = await newestSeq(db, runKey, run.attempt)
  const known = new Map<number, Known>()
  for (const seqs of lists(candidates.map(({ record }) => record.seq).filter((seq) => seq <= newest))) {
    const rows = await db
      .selectFrom('records')
      .select(['seq', 'timeMs', 'kind', 'body'])
      .where('runKey', '=', runKey)
      .where('attempt', '=', run.attempt)
      .where(isOneOf('seq', seqs))
      .execute()
    for (const row of rows) known.set(row.seq, row)
  }
  const fresh: Candidate[] = []
  for (const candidate of candidates) {
    const { record, body } = candidate
    const row = { seq: record.seq, timeMs: record.timeMs, kind: kindCodes[record.body.kind], body }
    const other = known.get(record.seq)
    if (!other) {
      known.set(record.seq, row)
      fresh.push(candidate)
    } else if (other.timeMs !== row.timeMs || other.kind !== row.kind || !sameBytes(other.body, body)) {
      reject(record, 'RECORD_CONFLICT', `record ${record.seq} of ${run.name} is kept with another content`)
    }
  }
  return fresh
}

/** Greatest sequence number of an attempt, 0 before the first: what lies beyond needs no look-up. */
async function newestSeq(db: Kysely<Tables>, runKey: number, attempt: number): Promise<number> {
  const row = await db
    .selectFrom('records')
    .select('seq')
    .where('runKey', '=', runKey)
    .where('attempt', '=', attempt)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.seq ?? 0
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0
}

const spectrumColumns = [
  'runKey',
  'moduleKey',
  'part',
  'step',
  'final',
  'attempt',
  'cursor',
  'rows',
  'columns',
  'overview',
]
const keepNewerSpectrum = `on conflict ("runKey", "moduleKey", "part", "step", "final") do update set
  "attempt" = excluded."attempt", "cursor" = excluded."cursor", "rows" = excluded."rows",
  "columns" = excluded."columns", "overview" = excluded."overview"
  where "spectra"."attempt" <= excluded."attempt"`

async function keep(
  db: Kysely<Tables>,
  { runKey, run }: RunBatch,
  fresh: Candidate[],
  firstCursor: number,
  keys: ReadonlyMap<string, number>,
): Promise<void> {
  await insertRows(
    db,
    'records',
    ['runKey', 'cursor', 'attempt', 'seq', 'timeMs', 'kind', 'body'],
    fresh.map(({ record, body }, offset) => [
      runKey,
      firstCursor + offset,
      record.attempt,
      record.seq,
      record.timeMs,
      kindCodes[record.body.kind],
      body,
    ]),
  )
  const points: PointRow[] = []
  const spectra: unknown[][] = []
  for (const [offset, { record }] of fresh.entries()) {
    const { attempt, seq, timeMs, body } = record
    if (body.kind === 'start' && attempt > 1) await rewind(db, runKey, attempt, body.startStep)
    if (body.kind === 'scalars')
      for (const [name, value] of Object.entries(body.values))
        points.push({
          runKey,
          nameKey: keys.get(name)!,
          step: body.step,
          attempt,
          seq,
          timeMs,
          value: Number.isNaN(value) ? null : value,
        })
    if (body.kind === 'spectrum')
      spectra.push([
        runKey,
        keys.get(body.module)!,
        partCodes[body.part],
        body.step,
        body.final ? 1 : 0,
        run.attempt,
        firstCursor + offset,
        body.rows,
        body.columns,
        JSON.stringify(overview(body)),
      ])
  }
  await insertRows(db, 'spectra', spectrumColumns, spectra, keepNewerSpectrum)
  if (points.length > 0) await addPoints(db, runKey, points)
}

function overview(body: Extract<RunRecord['body'], { kind: 'spectrum' }>): SpectrumOverview {
  return {
    frobenius: toJsonNumber(body.frobenius),
    measures: Object.fromEntries(
      Object.entries(body.measures).map(([name, value]) => [name, toJsonNumber(value)]),
    ),
  }
}

async function updateProgress(
  db: Kysely<Tables>,
  { runKey, run }: RunBatch,
  fresh: Candidate[],
): Promise<StoredRun> {
  for (const { record } of fresh) projectRecord(run, record)
  run.lastCursor += fresh.length
  run.revision += 1
  await db
    .updateTable('runs')
    .set({
      state: run.state,
      startedMs: run.startedMs,
      endedMs: run.endedMs,
      lastCursor: run.lastCursor,
      revision: run.revision,
      progress: JSON.stringify(run.progress),
    })
    .where('runKey', '=', runKey)
    .execute()
  return run
}
