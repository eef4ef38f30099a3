/** Sweeps in SQL: each with the runs that it made, and the requests that made them. */
import {
  largestSweep,
  RankscopeError,
  type SweepPoint,
  type SweepSpec,
  type SweepState,
} from '@rankscope/protocol'
import type { Kysely, Transaction } from 'kysely'
import type { Tables } from './schema.ts'
import { insertRuns } from './sql-runs.ts'
import type { NewSweepRun, StoredRun, StoredSweep } from './store.ts'

type Made = { sweep: StoredSweep; runs: StoredRun[] }

export function createSweep(
  db: Kysely<Tables>,
  sweep: Omit<StoredSweep, 'runs'>,
  runs: readonly NewSweepRun[],
  requestId: string,
): Promise<Made> {
  return db.transaction().execute(async (transaction) => {
    const before = await madeBefore(transaction, requestId)
    if (before) return { sweep: before, runs: [] }
    const { sweepId, createdMs, state, spec } = sweep
    await transaction
      .insertInto('sweeps')
      .values({ sweepId, createdMs, state, spec: JSON.stringify(spec) })
      .execute()
    const created = await addRuns(transaction, sweepId, 0, runs, requestId)
    return { sweep: (await readSweep(transaction, sweepId))!, runs: created }
  })
}

export function extendSweep(
  db: Kysely<Tables>,
  sweepId: string,
  axes: SweepSpec['axes'],
  runs: readonly NewSweepRun[],
  requestId: string,
): Promise<Made | null> {
  return db.transaction().execute(async (transaction) => {
    const before = await madeBefore(transaction, requestId)
    if (before) return { sweep: before, runs: [] }
    const sweep = await readSweep(transaction, sweepId)
    if (!sweep) return null
    const count = sweep.runs.length + runs.length
    if (count > largestSweep)
      throw new RankscopeError(
        'CONFIG_INVALID',
        `the sweep would have ${count} runs, at most ${largestSweep}`,
        {
          hint: 'launch the further values as a sweep of their own',
        },
      )
    await transaction
      .updateTable('sweeps')
      .set({ spec: JSON.stringify({ ...sweep.spec, axes }) })
      .where('sweepId', '=', sweepId)
      .execute()
    const created = await addRuns(transaction, sweepId, sweep.runs.length, runs, requestId)
    return { sweep: (await readSweep(transaction, sweepId))!, runs: created }
  })
}

async function madeBefore(transaction: Transaction<Tables>, requestId: string): Promise<StoredSweep | null> {
  const request = await transaction
    .selectFrom('sweepRequests')
    .select('sweepId')
    .where('requestId', '=', requestId)
    .executeTakeFirst()
  return request ? readSweep(transaction, request.sweepId) : null
}

async function addRuns(
  transaction: Transaction<Tables>,
  sweepId: string,
  position: number,
  runs: readonly NewSweepRun[],
  requestId: string,
): Promise<StoredRun[]> {
  const created = await insertRuns(transaction, runs)
  for (const [index, { runId, point }] of runs.entries())
    await transaction
      .insertInto('sweepRuns')
      .values({ sweepId, position: position + index, runId, point: JSON.stringify(point) })
      .execute()
  await transaction.insertInto('sweepRequests').values({ requestId, sweepId }).execute()
  return created
}

async function readSweep(db: Kysely<Tables>, sweepId: string): Promise<StoredSweep | null> {
  const row = await db.selectFrom('sweeps').selectAll().where('sweepId', '=', sweepId).executeTakeFirst()
  if (!row) return null
  const runs = await db
    .selectFrom('sweepRuns')
    .select(['runId', 'point'])
    .where('sweepId', '=', sweepId)
    .orderBy('position')
    .execute()
  return {
    ...row,
    state: row.state as SweepState,
    spec: JSON.parse(row.spec) as SweepSpec,
    runs: runs.map(({ runId, point }) => ({ runId, point: JSON.parse(point) as SweepPoint })),
  }
}

export async function listSweeps(db: Kysely<Tables>): Promise<StoredSweep[]> {
  const rows = await db
    .selectFrom('sweeps')
    .select('sweepId')
    .orderBy('createdMs')
    .orderBy('sweepId')
    .execute()
  const sweeps: StoredSweep[] = []
  for (const { sweepId } of rows) sweeps.push((await readSweep(db, sweepId))!)
  return sweeps
}

export async function setSweepState(
  db: Kysely<Tables>,
  sweepId: string,
  state: SweepState,
): Promise<boolean> {
  const result = await db
    .updateTable('sweeps')
    .set({ state })
    .where('sweepId', '=', sweepId)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

export async function deleteSweep(db: Kysely<Tables>, sweepId: string): Promise<boolean> {
  return db.transaction().execute(async (transaction) => {
    for (const table of ['sweepRuns', 'sweepRequests'] as const)
      await transaction.deleteFrom(table).where('sweepId', '=', sweepId).execute()
    const result = await transaction.deleteFrom('sweeps').where('sweepId', '=', sweepId).executeTakeFirst()
    return result.numDeletedRows > 0n
  })
}
