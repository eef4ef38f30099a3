/**
 * A consistent look at one run: everything that an answer says comes from one moment, together with the run’s cursor at
 * that moment, so that a live subscription from there on neither misses nor repeats anything.
 */
import type { Kysely } from 'kysely'
import type { Tables } from './schema.ts'
import { readRun } from './sql-runs.ts'
import type { StoredRun } from './store.ts'

export type Snapshot = { transaction: Kysely<Tables>; runKey: number; run: StoredRun }

/** Read within one snapshot; `absent` where there is no such run. */
export async function withRun<T>(
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
