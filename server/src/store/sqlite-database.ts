/** libsql as the database that Kysely’s SQLite dialect expects. */

import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import type { SqliteDatabase, SqliteStatement } from 'kysely'
import Database from 'libsql'

export type DatabaseOptions = {
  writable: boolean
  /** For tests of a full disk: SQLite then refuses to grow the file beyond so many pages. null: the disk decides. */
  maxPages: number | null
}

/** Statements kept prepared. libsql never frees one, so the texts must be few: rows go in by chunks of fixed sizes. */
const mostStatements = 500

/**
 * Open (creating it where `writable`) a file in WAL mode. A commit is on disk when it returns: synchronous FULL.
 * Readers in other threads see committed states only and never wait. Errors of the file carry a code.
 */
export function openDatabase(file: string, { writable, maxPages }: DatabaseOptions): SqliteDatabase {
  return coded(file, () => {
    const database = new Database(file)
    if (writable) {
      // Counts in a new file only.
      database.pragma('auto_vacuum = INCREMENTAL')
      database.pragma('journal_mode = WAL')
      database.pragma('synchronous = FULL')
      rewriteOldFile(file, database)
      if (maxPages !== null) database.pragma(`max_page_count = ${maxPages}`)
    } else database.pragma('query_only = ON')
    database.pragma('busy_timeout = 10000')
    database.pragma('cache_size = -16000')
    database.pragma('temp_store = MEMORY')
    const statements = new Map<string, SqliteStatement>()
    return {
      prepare: (text) => {
        // SQLite has undone the transaction itself after some errors; undoing it again would hide the cause.
        if (text === 'rollback' && !database.inTransaction) return nothing
        // libsql runs no further than its first step, and a statement that stands in its midst keeps tables locked.
        if (text.startsWith('pragma incremental_vacuum'))
          return {
            ...nothing,
            run: () => {
              coded(file, () => database.exec(text))
              return nothingChanged
            },
          }
        const known = statements.get(text)
        if (known) return known
        const statement = prepare(file, database, text)
        if (statements.size >= mostStatements) statements.delete(statements.keys().next().value!)
        statements.set(text, statement)
        return statement
      },
      close: () => {
        statements.clear()
        database.close()
      },
    }
  })
}

/**
 * A file of an earlier release cannot shrink: it is rewritten once, before anybody waits for it. That takes seconds per
 * gigabyte that is in use, and as much room on the disk; where that is missing it stays as it is.
 */
function rewriteOldFile(file: string, database: Database.Database): void {
  const pragma = (name: string) =>
    (database.prepare(`pragma ${name}`).get() as Record<string, number>)[name] ?? 0
  if (pragma('auto_vacuum') !== 0) return
  const usedBytes = (pragma('page_count') - pragma('freelist_count')) * pragma('page_size')
  if (freeBytes(file) < 2 * usedBytes + fullBytes) return
  if (usedBytes > toldBytes)
    process.stderr.write(
      `rewriting ${file} once (${Math.round(usedBytes / 2 ** 20)} MiB), so that it can shrink\n`,
    )
  try {
    // Not in memory, which the whole of it would take.
    database.pragma('temp_store = FILE')
    database.exec('vacuum')
    database.exec('pragma wal_checkpoint(truncate)')
  } catch {
    // Another time.
  }
}

/** So much takes a while. */
const toldBytes = 2 ** 28

const nothingChanged = { changes: 0, lastInsertRowid: 0 }
const nothing: SqliteStatement = {
  reader: false,
  all: () => [],
  run: () => nothingChanged,
  iterate: () => [][Symbol.iterator](),
}

function prepare(file: string, database: Database.Database, text: string): SqliteStatement {
  const statement = coded(file, () => database.prepare(text))
  return {
    reader: statement.reader,
    all: (parameters) => coded(file, () => statement.all(checked(parameters)).map(readBytes)),
    run: (parameters) => coded(file, () => statement.run(checked(parameters))),
    iterate: () => {
      throw new Error('rows are not streamed')
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

/** What is wrong with the file, not with what was asked of it, becomes a coded error that names the file. */
function coded<T>(file: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw fileError(file, cause) ?? cause
  }
}

/** A full disk shows as an error of input and output in some places: where the log or its index would grow. */
const fullBytes = 2 ** 20

function fileError(file: string, cause: unknown): RankscopeError | null {
  const { code, message } = cause as { code?: unknown; message?: unknown }
  // Where the file cannot even be opened, libsql tells the code in words only.
  const isClosed = /^ConnectionFailed\(.*: (?:14|23|3|8)"\)/s.test(String(message))
  const text = isClosed ? 'SQLITE_CANTOPEN' : String(code ?? '')
  const says = `${String(message)} (${text})`
  if (text.startsWith('SQLITE_FULL') || (text.startsWith('SQLITE_IOERR') && freeBytes(file) < fullBytes))
    return new RankscopeError('STORE_FULL', `there is no room for ${file}: ${says}`, {
      hint: 'make room on that disk; the server goes on by itself',
      cause,
    })
  if (text.startsWith('SQLITE_CORRUPT') || text.startsWith('SQLITE_NOTADB'))
    return new RankscopeError('STORE_BROKEN', `${file} is damaged or no database: ${says}`, {
      hint: 'move the file away, or put back a copy that is whole',
      cause,
    })
  if (/^SQLITE_(CANTOPEN|READONLY|PERM|AUTH|NOLFS)/.test(text))
    return new RankscopeError('FILE_UNUSABLE', `${file} cannot be opened or written: ${says}`, {
      hint: 'look at the rights of the data folder and its files',
      cause,
    })
  return null
}

export function freeBytes(file: string): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(file))
    return bavail * bsize
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
