/** libsql as the database that Kysely’s SQLite dialect expects. */

import type { SqliteDatabase, SqliteStatement } from 'kysely'
import Database from 'libsql'

/**
 * Open (creating it where `writable`) a file in WAL mode. A commit is on disk when it returns: synchronous FULL.
 * Readers in other threads see committed states only and never wait.
 */
export function openDatabase(file: string, writable: boolean): SqliteDatabase {
  const database = new Database(file)
  if (writable) {
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = FULL')
  } else database.pragma('query_only = ON')
  database.pragma('busy_timeout = 10000')
  database.pragma('cache_size = -16000')
  database.pragma('temp_store = MEMORY')
  return {
    prepare: (text) => {
      const statement = database.prepare(text)
      return {
        reader: statement.reader,
        all: (parameters) => statement.all(checked(parameters)).map(readBytes),
        run: (parameters) => statement.run(checked(parameters)),
        iterate: () => {
          throw new Error('rows are not streamed')
        },
      } satisfies SqliteStatement
    },
    close: () => {
      database.close()
    },
  }
}

/** libsql ends the whole process on a type that it does not know, so those are stopped here. */
function checked(parameters: readonly unknown[]): unknown[] {
  for (const parameter of parameters) {
    const known =
      parameter === null ||
      typeof parameter === 'number' ||
      typeof parameter === 'string' ||
      parameter instanceof Uint8Array
    if (!known) throw new TypeError(`a ${typeof parameter} cannot be bound to a statement`)
  }
  return parameters as unknown[]
}

/** libsql hands out blobs as ArrayBuffer. */
function readBytes(row: unknown): unknown {
  const fields = row as Record<string, unknown>
  for (const name in fields) {
    const value = fields[name]
    if (value instanceof ArrayBuffer) fields[name] = new Uint8Array(value)
  }
  return fields
}
