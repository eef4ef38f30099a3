/** The thread behind `sqlite.ts`: opens the file, then answers calls one after the other. */
import { parentPort, workerData } from 'node:worker_threads'
import { type ErrorPayload, errorPayload, RankscopeError } from '@rankscope/protocol'
import { Kysely, SqliteDialect } from 'kysely'
import { sqliteTypes } from './migrations.ts'
import type { Tables } from './schema.ts'
import { migrate, sqlStore } from './sql-store.ts'
import type { Call, Reply, SqliteWorkerData } from './sqlite.ts'
import { openDatabase } from './sqlite-database.ts'
import type { Store } from './store.ts'

const { file, role } = workerData as SqliteWorkerData

async function open(): Promise<Store> {
  const database = openDatabase(file, role === 'write')
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) })
  if (role === 'write') await migrate(db, sqliteTypes)
  return sqlStore(db)
}

async function answer(store: Promise<Store>, { id, method, args }: Call): Promise<Reply> {
  try {
    const call = (await store)[method] as (...args: unknown[]) => Promise<unknown>
    return { id, ok: true, value: await call(...args) }
  } catch (error) {
    return { id, ok: false, error: storeError(error) }
  }
}

function storeError(error: unknown): ErrorPayload {
  if (error instanceof RankscopeError) return error.toPayload()
  return {
    ...errorPayload(error),
    code: 'STORE_FAILED',
    hint: 'look at the free space on the disk and the rights of the data folder',
  }
}

let store: Promise<Store> | null = null
let queue: Promise<unknown> = Promise.resolve()
parentPort!.on('message', (call: Call) => {
  queue = queue.then(async () => {
    store ??= open()
    parentPort!.postMessage(await answer(store, call))
  })
})
