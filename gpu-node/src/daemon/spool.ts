/**
 * The spool: records on this node's disk until the server has them on its own. A record enters with the next
 * sequence number of its run, durably (SQLite, WAL, synchronous FULL), and leaves when the server acknowledged it.
 * The file has one owner: a second daemon on the same folder is refused.
 */
import { rmSync } from 'node:fs'
import {
  decodeMessage,
  encodeMessage,
  RankscopeError,
  type RecordBody,
  type RunRecord,
} from '@rankscope/protocol'
import Database from 'libsql'

export interface RunKey {
  readonly runId: string
  readonly attempt: number
}

export interface SpooledRecord {
  /** Place in the order of arrival; what `forget` takes. */
  readonly position: number
  readonly record: RunRecord
  /** Of its body as it is stored. */
  readonly bytes: number
}

export interface NewRecord extends RunKey {
  readonly timeMs: number
  readonly body: RecordBody
}

/** A run whose last word (a `lifecycle` record other than `running`) has not been written. */
export interface UnfinishedRun extends RunKey {
  readonly processId: number | null
  /** Tells the process from a later one with the same id; null where the system cannot say. */
  readonly processStart: string | null
}

export interface Spool {
  /** Makes a run known. False where it was known already: an assignment that arrives twice starts one process. */
  open(run: RunKey): boolean
  setProcess(run: RunKey, processId: number, processStart: string | null): void
  /** Writes all of them in one transaction, on disk when it returns. Where it throws nothing was written. */
  append(records: readonly NewRecord[]): void
  /** Takes a record out of the queue and keeps it, with the reason: nothing that a run told is thrown away. */
  setAside(position: number, reason: string): void
  /**
   * The oldest records behind `position`: at most `count`, and at least one however large it is. What a disk has damaged
   * is set aside, so that it holds up nothing.
   */
  read(position: number, limits: { count: number; bytes: number }): SpooledRecord[]
  forget(positions: readonly number[]): void
  /** Runs that have not ended, oldest first. */
  unfinished(): UnfinishedRun[]
  /** Whether an attempt of the run has finished here. */
  finished(runId: string): boolean
  /** Runs whose last word the server has not acknowledged. */
  untold(): RunKey[]
  /** Ends a run without a word: its process went with an earlier daemon. */
  abandon(run: RunKey): void
  /** Records, and their bytes, that the server has not acknowledged. */
  readonly records: number
  readonly bytes: number
  close(): void
}

const schema = `
  CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    last_seq INTEGER NOT NULL DEFAULT 0,
    -- 0: not ended; 1: its last word is written, 3: and says that it finished; 2: it ended without one
    ended INTEGER NOT NULL DEFAULT 0,
    process_id INTEGER,
    process_start TEXT,
    UNIQUE (run_id, attempt)
  );
  CREATE TABLE IF NOT EXISTS records (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id),
    seq INTEGER NOT NULL,
    time_ms REAL NOT NULL,
    body BLOB NOT NULL
  );
  CREATE INDEX IF NOT EXISTS records_by_run ON records (run);
  -- Records that the server cannot take.
  CREATE TABLE IF NOT EXISTS set_aside (
    run_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    time_ms REAL NOT NULL,
    body BLOB NOT NULL,
    reason TEXT NOT NULL
  );
`

type RecordRow = {
  position: number
  run_id: string
  attempt: number
  seq: number
  time_ms: number
  /** libsql hands out blobs of several rows as ArrayBuffer. */
  body: ArrayBuffer
}

/** Opens the spool in `file`, making it where absent. Throws STORE_FAILED where another daemon holds it. */
export function openSpool(file: string): Spool {
  const lock = takeLock(`${file}.lock`)
  const database = openDatabase(file)
  const findRun = database.prepare(
    'SELECT id, last_seq AS lastSeq FROM runs WHERE run_id = ? AND attempt = ?',
  )
  const insertRun = database.prepare('INSERT INTO runs (run_id, attempt) VALUES (?, ?)')
  const advanceRun = database.prepare('UPDATE runs SET last_seq = ?, ended = max(ended, ?) WHERE id = ?')
  const endRun = database.prepare('UPDATE runs SET ended = 2 WHERE run_id = ? AND attempt = ?')
  const nameProcess = database.prepare(
    'UPDATE runs SET process_id = ?, process_start = ? WHERE run_id = ? AND attempt = ?',
  )
  const insertRecord = database.prepare('INSERT INTO records (run, seq, time_ms, body) VALUES (?, ?, ?, ?)')
  const deleteRecord = database.prepare('DELETE FROM records WHERE position = ?')
  const sizeOfRecord = database.prepare('SELECT length(body) AS size FROM records WHERE position = ?')
  const readRecords = database.prepare(`
    SELECT position, run_id, attempt, seq, time_ms, body FROM records JOIN runs ON runs.id = records.run
    WHERE position > ? ORDER BY position LIMIT ?`)
  const copyAside = database.prepare(`
    INSERT INTO set_aside SELECT run_id, attempt, seq, time_ms, body, ? FROM records JOIN runs ON runs.id = records.run
    WHERE position = ?`)
  const listUnfinished = database.prepare(`
    SELECT run_id AS runId, attempt, process_id AS processId, process_start AS processStart
    FROM runs WHERE ended = 0 ORDER BY id`)
  const countFinished = database.prepare('SELECT 1 FROM runs WHERE run_id = ? AND ended = 3 LIMIT 1')
  const listUntold = database.prepare(`
    SELECT run_id AS runId, attempt FROM runs
    WHERE ended IN (1, 3) AND EXISTS (SELECT 1 FROM records WHERE run = runs.id) ORDER BY id`)

  const held = database
    .prepare('SELECT count(*) AS records, total(length(body)) AS bytes FROM records')
    .get() as {
    records: number
    bytes: number
  }

  return {
    get records() {
      return held.records
    },
    get bytes() {
      return held.bytes
    },

    open(run) {
      if (findRun.get(run.runId, run.attempt) !== undefined) return false
      insertRun.run(run.runId, run.attempt)
      return true
    },

    setProcess(run, processId, processStart) {
      nameProcess.run(processId, processStart, run.runId, run.attempt)
    },

    append(records) {
      let addedBytes = 0
      inTransaction(database, () => {
        for (const { runId, attempt, timeMs, body } of records) {
          const run = findRun.get(runId, attempt) as { id: number; lastSeq: number } | undefined
          if (run === undefined) throw new Error(`run ${runId}, attempt ${attempt} was never opened`)
          const bytes = encodeMessage(body)
          insertRecord.run(run.id, run.lastSeq + 1, timeMs, Buffer.from(bytes))
          advanceRun.run(run.lastSeq + 1, endOf(body), run.id)
          addedBytes += bytes.byteLength
        }
      })
      held.records += records.length
      held.bytes += addedBytes
    },

    read(position, { count, bytes }) {
      for (let from = position; ; ) {
        const batch: SpooledRecord[] = []
        const rows = readRecords.all(from, count) as RecordRow[]
        let size = 0
        for (const row of rows) {
          size += row.body.byteLength
          if (batch.length > 0 && size > bytes) break
          const record = toRecord(row)
          if (record) batch.push({ position: row.position, record, bytes: row.body.byteLength })
          else this.setAside(row.position, 'its bytes were damaged on this disk')
        }
        if (batch.length > 0 || rows.length === 0) return batch
        from = rows.at(-1)!.position
      }
    },

    forget(positions) {
      let removed = 0
      let removedBytes = 0
      inTransaction(database, () => {
        for (const position of positions) {
          const row = sizeOfRecord.get(position) as { size: number } | undefined
          if (row === undefined) continue
          deleteRecord.run(position)
          removed += 1
          removedBytes += row.size
        }
      })
      held.records -= removed
      held.bytes -= removedBytes
      if (held.records === 0) shrink(database)
    },

    setAside(position, reason) {
      inTransaction(database, () => copyAside.run(reason, position))
      this.forget([position])
    },

    unfinished() {
      return listUnfinished.all() as UnfinishedRun[]
    },

    finished(runId) {
      return countFinished.get(runId) !== undefined
    },

    untold() {
      return listUntold.all() as RunKey[]
    },

    abandon(run) {
      endRun.run(run.runId, run.attempt)
    },

    close() {
      database.close()
      lock.exec('ROLLBACK')
      lock.close()
    },
  }
}

function endOf(body: RecordBody): number {
  if (!isLastWord(body)) return 0
  return body.kind === 'lifecycle' && body.state === 'finished' ? 3 : 1
}

/** A run's last word: after it nothing more comes from this attempt. */
export function isLastWord(body: RecordBody): boolean {
  return body.kind === 'lifecycle' && body.state !== 'running'
}

/**
 * The lock is a transaction that stays open, so the system gives it back however the daemon ends. (Exclusive locking
 * of the spool itself would last until libsql’s statements are collected.)
 */
function takeLock(file: string): Database.Database {
  const take = () => {
    const lock = new Database(file, { timeout: 500 })
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  }
  try {
    try {
      return take()
    } catch (cause) {
      // Nothing is kept in it, and nobody can hold it.
      if (!isDamage(cause)) throw cause
      rmSync(file)
      return take()
    }
  } catch (cause) {
    const busy = cause instanceof Error && 'code' in cause && cause.code === 'SQLITE_BUSY'
    if (!busy) throw unusable(file, cause)
    throw new RankscopeError('STORE_FAILED', `another node daemon holds ${file}`, {
      cause,
      hint: 'stop it, or give this one a state folder of its own with --state',
    })
  }
}

function openDatabase(file: string): Database.Database {
  try {
    const database = new Database(file)
    // Counts in a new file; one of an earlier release is rewritten while it is empty.
    database.pragma('auto_vacuum = INCREMENTAL')
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = FULL')
    database.pragma('foreign_keys = ON')
    database.exec(schema)
    rewriteOldFile(database)
    return database
  } catch (cause) {
    throw unusable(file, cause)
  }
}

function rewriteOldFile(database: Database.Database): void {
  const mode = database.prepare('PRAGMA auto_vacuum').get() as { auto_vacuum: number }
  if (mode.auto_vacuum !== 0 || database.prepare('SELECT 1 FROM records LIMIT 1').get() !== undefined) return
  try {
    database.exec('VACUUM')
  } catch {
    // No room for a copy: another time.
  }
}

function isDamage(cause: unknown): boolean {
  return /^SQLITE_(NOTADB|CORRUPT)/.test(String((cause as { code?: unknown }).code))
}

function unusable(file: string, cause: unknown): RankscopeError {
  return new RankscopeError('STORE_FAILED', `the spool ${file} cannot be opened: ${String(cause)}`, {
    cause,
    hint: isDamage(cause)
      ? 'it is damaged: move it away; what the server has not taken is in it, everything else goes on'
      : 'check the disk and the permissions of the folder',
  })
}

function inTransaction(database: Database.Database, work: () => void): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    work()
    database.exec('COMMIT')
  } catch (error) {
    try {
      database.exec('ROLLBACK')
    } catch {
      // SQLite has rolled back by itself, as it does where the disk is full; the first error is what counts.
    }
    throw error
  }
}

/** Bodies were validated before they were written, and nobody else writes this file: null means that the disk did. */
function toRecord(row: RecordRow): RunRecord | null {
  try {
    const body = decodeMessage(new Uint8Array(row.body)) as RecordBody
    return { runId: row.run_id, attempt: row.attempt, seq: row.seq, timeMs: row.time_ms, body }
  } catch {
    return null
  }
}

/** Free pages that an empty spool keeps for what comes next, and how many more are given back in one go. */
const [keptPages, freedPages] = [2048, 8192]

/** Gives back what a long outage of the server made the file take. */
function shrink(database: Database.Database): void {
  const { freelist_count: free } = database.prepare('PRAGMA freelist_count').get() as {
    freelist_count: number
  }
  if (free <= keptPages) return
  database.exec(`PRAGMA incremental_vacuum(${Math.min(free - keptPages, freedPages)})`)
}
