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
import type { Call, Reply } from './store-thread.ts'

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

async function answer({ id, method, args }: Call): Promise<Reply> {
  try {
    const { [method as keyof Store]: call } = await store()
    return { id, ok: true, value: await (call as (...args: unknown[]) => Promise<unknown>)(...args) }
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

let queue: Promise<unknown> = Promise.resolve()
parentPort!.on('message', (call: Call) => {
  queue = queue.then(async () => {
    const reply = await answer(call)
    try {
      parentPort!.postMessage(reply)
    } catch (error) {
      // What was found cannot travel between threads; the calls behind it must not wait for that.
      parentPort!.postMessage({ id: call.id, ok: false, error: storeError(error) } satisfies Reply)
    }
  })
})
