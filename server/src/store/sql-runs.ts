/** Runs and nodes in SQL. */
import { type NodeMode, RankscopeError, type RunConfig, type RunState } from '@rankscope/protocol'
import { type Insertable, type Kysely, type Selectable, sql } from 'kysely'
import { emptyProgress, type RunProgress } from '../runs/projection.ts'
import { insertRows } from './bulk.ts'
import type { Tables } from './schema.ts'
import type { NewRun, RunChange, StoredNode, StoredNodeMode, StoredRun } from './store.ts'

export function readRun(row: Selectable<Tables['runs']>): StoredRun {
  const { runKey: _, config, progress, state, ...rest } = row
  return {
    ...rest,
    state: state as RunState,
    config: JSON.parse(config) as RunConfig,
    progress: JSON.parse(progress) as RunProgress,
  }
}

export async function createRuns(db: Kysely<Tables>, runs: NewRun[]): Promise<StoredRun[]> {
  return db.transaction().execute((transaction) => insertRuns(transaction, runs))
}

/** Within a transaction of the caller’s. */
export async function insertRuns(transaction: Kysely<Tables>, runs: readonly NewRun[]): Promise<StoredRun[]> {
  const taken = new Set(
    (await transaction.selectFrom('runs').select('name').execute()).map((row) => row.name),
  )
  const created: StoredRun[] = []
  for (const run of runs) {
    const name = freeName(run.name, taken)
    taken.add(name)
    const row: Insertable<Tables['runs']> = {
      runId: run.runId,
      name,
      state: 'queued',
      attempt: 1,
      nodeId: null,
      createdMs: run.createdMs,
      queuedMs: run.createdMs,
      startedMs: null,
      endedMs: null,
      lastCursor: 0,
      revision: 1,
      config: JSON.stringify(run.config),
      ...run.ended,
      progress: JSON.stringify(run.ended?.progress ?? emptyProgress()),
    }
    await transaction.insertInto('runs').values(row).execute()
    created.push(readRun({ ...row, runKey: 0 } as Selectable<Tables['runs']>))
  }
  return created
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  if (!taken.has(wanted)) return wanted
  let number = 2
  while (taken.has(`${wanted}-${number}`)) number++
  return `${wanted}-${number}`
}

export async function listRuns(db: Kysely<Tables>): Promise<StoredRun[]> {
  return (await db.selectFrom('runs').selectAll().orderBy('runKey').execute()).map(readRun)
}

export async function updateRun(
  db: Kysely<Tables>,
  runId: string,
  expectedRevision: number,
  change: RunChange,
): Promise<StoredRun | null> {
  if (change.name !== undefined) {
    const other = await db
      .selectFrom('runs')
      .select('runId')
      .where('name', '=', change.name)
      .executeTakeFirst()
    if (other && other.runId !== runId)
      throw new RankscopeError('CONFIG_INVALID', `name: another run is called ${change.name}`, {
        hint: 'choose another name',
      })
  }
  const { config, progress, ...plain } = change
  // Before the run itself: a node too many is told of a deletion in vain, one too few keeps its folders.
  const gang = progress?.gang?.map(({ nodeId }) => [runId, nodeId]) ?? []
  const holders = typeof change.nodeId === 'string' ? [[runId, change.nodeId], ...gang] : []
  if (holders.length > 0)
    await insertRows(db, 'holders', ['runId', 'nodeId'], holders, 'on conflict do nothing')
  const row = await db
    .updateTable('runs')
    .set({
      ...plain,
      ...(config ? { config: JSON.stringify(config) } : {}),
      ...(progress ? { progress: JSON.stringify(progress) } : {}),
      revision: expectedRevision + 1,
    })
    .where('runId', '=', runId)
    .where('revision', '=', expectedRevision)
    .returningAll()
    .executeTakeFirst()
  return row ? readRun(row) : null
}

export async function deleteRun(
  db: Kysely<Tables>,
  runId: string,
): Promise<{ records: number; nodeIds: string[] } | null> {
  return db.transaction().execute(async (transaction) => {
    const row = await transaction
      .deleteFrom('runs')
      .where('runId', '=', runId)
      .returning(['runKey', 'lastCursor'])
      .executeTakeFirst()
    if (!row) return null
    await transaction.insertInto('purges').values({ runKey: row.runKey }).execute()
    const holders = await transaction
      .deleteFrom('holders')
      .where('runId', '=', runId)
      .returning(['runId', 'nodeId'])
      .execute()
    await insertRows(
      transaction,
      'deletions',
      ['runId', 'nodeId'],
      holders.map((holder) => [holder.runId, holder.nodeId]),
      'on conflict do nothing',
    )
    return { records: row.lastCursor, nodeIds: holders.map((holder) => holder.nodeId) }
  })
}

/** Rows removed in one go: few enough that live traffic does not wait noticeably. */
const purgeRows = 5000

/** What belongs to a run, with the rest of each table’s key. */
const ofRun = {
  records: ['cursor'],
  points: ['nameKey', 'step'],
  buckets: ['nameKey', 'level', 'bucket'],
  spectra: ['moduleKey', 'part', 'step', 'final'],
  series: ['nameKey'],
} as const

/** Remove some rows of deleted runs; true while there are more. */
export async function purge(db: Kysely<Tables>): Promise<boolean> {
  const target = await db.selectFrom('purges').select('runKey').executeTakeFirst()
  if (!target) return false
  await db.transaction().execute(async (transaction) => {
    for (const table of Object.keys(ofRun) as (keyof typeof ofRun)[])
      if (await purgeTable(transaction, table, target.runKey)) return
    await transaction.deleteFrom('purges').where('runKey', '=', target.runKey).execute()
  })
  return true
}

/** True where rows were removed. */
async function purgeTable(db: Kysely<Tables>, table: keyof typeof ofRun, runKey: number): Promise<boolean> {
  const key = sql.join(ofRun[table].map((column) => sql.ref(column)))
  const of = sql`from ${sql.table(table)} where ${sql.ref('runKey')} = ${runKey}`
  const { rows } = await sql<Record<string, number>>`
    select ${key} ${of} order by ${key} limit 1 offset ${sql.lit(purgeRows)}`.execute(db)
  const end = rows[0]
  const before = end ? sql`and (${key}) < (${sql.join(ofRun[table].map((column) => end[column]))})` : sql``
  const { numAffectedRows } = await sql`delete ${of} ${before}`.execute(db)
  return (numAffectedRows ?? 0n) > 0n
}

/** Pages given back in one go. */
const shrinkPages = 1000

/** A file that could not be rewritten (sqlite-database.ts) has nothing to give back: its free pages are used again. */
export async function shrink(db: Kysely<Tables>): Promise<{ freedBytes: number; isMore: boolean }> {
  const pragma = async (name: string) => {
    const { rows } = await sql<Record<string, number>>`${sql.raw(`pragma ${name}`)}`.execute(db)
    return Object.values(rows[0] ?? {})[0] ?? 0
  }
  const before = await pragma('freelist_count')
  if (before === 0) return { freedBytes: 0, isMore: false }
  await sql`${sql.raw(`pragma incremental_vacuum(${shrinkPages})`)}`.execute(db)
  const after = await pragma('freelist_count')
  if (after === 0) await sql`pragma wal_checkpoint(truncate)`.execute(db)
  const freedBytes = Math.max(0, before - after) * (await pragma('page_size'))
  return { freedBytes, isMore: freedBytes > 0 && after > 0 }
}

export async function listDeletions(db: Kysely<Tables>): Promise<{ runId: string; nodeId: string }[]> {
  return db.selectFrom('deletions').selectAll().execute()
}

export async function deletionDone(db: Kysely<Tables>, runId: string, nodeId: string): Promise<void> {
  await db.deleteFrom('deletions').where('runId', '=', runId).where('nodeId', '=', nodeId).execute()
}

/** As much as an ordinary batch of records takes. */
const probeBytes = 2 ** 18

export async function probe(db: Kysely<Tables>): Promise<void> {
  await db.deleteFrom('probe').execute()
  await sql`insert into "probe" ("filler") values (zeroblob(${probeBytes}))`.execute(db)
  await db.deleteFrom('probe').execute()
}

export async function saveNode(db: Kysely<Tables>, node: StoredNode): Promise<void> {
  const row = { ...node, hello: JSON.stringify(node.hello) }
  await db
    .insertInto('nodes')
    .values(row)
    .onConflict((conflict) =>
      conflict.column('nodeId').doUpdateSet({ lastSeenMs: row.lastSeenMs, hello: row.hello }),
    )
    .execute()
}

export async function listNodes(db: Kysely<Tables>): Promise<StoredNode[]> {
  const rows = await db.selectFrom('nodes').selectAll().orderBy('firstSeenMs').execute()
  return rows.map((row) => ({ ...row, hello: JSON.parse(row.hello) as StoredNode['hello'] }))
}

export async function deleteNode(db: Kysely<Tables>, nodeId: string): Promise<boolean> {
  return db.transaction().execute(async (transaction) => {
    for (const table of ['holders', 'deletions', 'nodeModes'] as const)
      await transaction.deleteFrom(table).where('nodeId', '=', nodeId).execute()
    const result = await transaction.deleteFrom('nodes').where('nodeId', '=', nodeId).executeTakeFirst()
    return result.numDeletedRows > 0n
  })
}

export async function listNodeModes(db: Kysely<Tables>): Promise<StoredNodeMode[]> {
  const rows = await db.selectFrom('nodeModes').selectAll().execute()
  return rows.map(({ nodeId, mode, pausedRuns }) => ({
    nodeId,
    mode: mode as NodeMode,
    pausedRuns: JSON.parse(pausedRuns) as string[],
  }))
}

export async function saveNodeMode(
  db: Kysely<Tables>,
  { nodeId, mode, pausedRuns }: StoredNodeMode,
): Promise<void> {
  await insertRows(
    db,
    'nodeModes',
    ['nodeId', 'mode', 'pausedRuns'],
    [[nodeId, mode, JSON.stringify(pausedRuns)]],
    'on conflict ("nodeId") do update set "mode" = excluded."mode", "pausedRuns" = excluded."pausedRuns"',
  )
}
