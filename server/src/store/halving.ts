/**
 * A batch that the database cannot take as a whole is halved until the record at fault is alone. All of it happens in
 * one transaction: a batch is kept but for the records that are refused, or not at all.
 */
import type { ErrorCode, RunRecord } from '@rankscope/protocol'
import { errorPayload, RankscopeError } from '@rankscope/protocol'
import { type Kysely, sql } from 'kysely'
import type { Tables } from './schema.ts'
import type { AppendResult } from './store.ts'

type Append = (transaction: Kysely<Tables>, records: RunRecord[]) => Promise<AppendResult>

/** `forget` is called whenever something was undone that `append` may remember. */
export async function appendHalving(
  db: Kysely<Tables>,
  records: RunRecord[],
  append: Append,
  forget: () => void,
): Promise<AppendResult> {
  try {
    return await db.transaction().execute((transaction) => append(transaction, records))
  } catch (error) {
    forget()
    if (!isOfRecord(error)) throw error
  }
  return db.transaction().execute((transaction) => half(transaction, records, append, forget))
}

async function half(
  transaction: Kysely<Tables>,
  records: RunRecord[],
  append: Append,
  forget: () => void,
): Promise<AppendResult> {
  await sql`savepoint halving`.execute(transaction)
  try {
    const result = await append(transaction, records)
    await sql`release halving`.execute(transaction)
    return result
  } catch (error) {
    if (!isOfRecord(error)) throw error
    forget()
    await sql`rollback to halving`.execute(transaction)
    await sql`release halving`.execute(transaction)
    if (records.length === 1) return refused(records[0]!, error)
  }
  const middle = Math.ceil(records.length / 2)
  const first = await half(transaction, records.slice(0, middle), append, forget)
  const second = await half(transaction, records.slice(middle), append, forget)
  const runs = new Map([...first.runs, ...second.runs].map((run) => [run.runId, run]))
  return {
    cursors: [...first.cursors, ...second.cursors],
    rejected: [...first.rejected, ...second.rejected],
    runs: [...runs.values()],
  }
}

function refused({ runId, attempt, seq }: RunRecord, error: unknown): AppendResult {
  const code: ErrorCode = 'MESSAGE_INVALID'
  const message = `the store cannot keep this record: ${errorPayload(error).message}`
  return { cursors: [null], rejected: [{ runId, attempt, seq, code, message }], runs: [] }
}

/** What a statement says of its values; all other errors are the database’s own, and no record is to blame. */
const ofValues = /^SQLITE_(ERROR|TOOBIG|CONSTRAINT|MISMATCH|RANGE)/

function isOfRecord(error: unknown): boolean {
  if (error instanceof RankscopeError) return false
  const { code } = error as { code?: unknown }
  return typeof code !== 'string' || !code.startsWith('SQLITE_') || ofValues.test(code)
}
