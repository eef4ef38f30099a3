/** The thread behind `sqlite.ts`: opens the file, then answers calls one after the other. */
import { parentPort, workerData } from 'node:worker_threads'
import { type ErrorPayload, errorPayload, RankscopeError } from '@rankscope/protocol'
import { Kysely, SqliteDialect } from 'kysely'
import { sqliteTypes } from './migrations.ts'
import type { Tables } from './schema.ts'
import { migrate, sqlStore } from './sql-store.ts'
import type { SqliteWorkerData } from './sqlite.ts'
import { openDatabase } from './sqlite-database.ts'
import type { Store } from './store.ts'
import { serveCalls } from './store-thread.ts'

const { file, role, maxPages } = workerData as SqliteWorkerData

async function open(): Promise<Store> {
  const database = openDatabase(file, { writable: role === 'write', maxPages })
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) })
  if (role === 'write') await migrate(db, sqliteTypes)
  return sqlStore(db)
}

let opened: Promise<Store> | null = null

/** Opening is tried again with the next call: meanwhile there may be room on the disk. */
function store(): Promise<Store> {
  opened ??= open().catch((error: unknown) => {
    opened = null
    throw error
  })
  return opened
}

function storeError(error: unknown): ErrorPayload {
  if (error instanceof RankscopeError) return error.toPayload()
  return {
    ...errorPayload(error),
    code: 'STORE_FAILED',
    hint: 'look at the free space on the disk and the rights of the data folder',
  }
}

serveCalls(
  parentPort!,
  async ({ method, args }) => {
    const { [method as keyof Store]: call } = await store()
    return (call as (...args: unknown[]) => Promise<unknown>)(...args)
  },
  storeError,
)
