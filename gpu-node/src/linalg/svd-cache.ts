/**
 * Leading singular triplets on disk, so that the second start of a model decomposes nothing.
 *
 * A file belongs to one matrix (by content) and one way of decomposing; the highest rank computed so far is kept,
 * and answers every lower one by its prefix. Layout: one line of JSON, then u, s and v as float64.
 * Files appear whole (written aside, then renamed); a damaged one is removed and computed again.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { z } from 'zod'
import { leadingColumns } from './matrix.ts'
import type { CacheLocation } from './messages.ts'
import { defaultIterations, refuseRank, type TopSvd, type TopSvdOptions } from './top-svd.ts'

/** Raised when results of the same input would change. */
const version = 1

const headerSchema = z.strictObject({
  version: z.literal(version),
  rank: z.int().min(1),
  rows: z.int().min(1),
  columns: z.int().min(1),
  /** SHA-256 of the numbers. */
  digest: z.string(),
})

interface CacheSubject {
  readonly w: Float32Array
  readonly rows: number
  readonly columns: number
  readonly rank: number
  readonly options: TopSvdOptions
}

export interface CacheEntry {
  /** The triplets of the asked rank, or null where they are not there (any more). */
  read(): TopSvd | null
  /** Keeps them; returns what went wrong, or null. A cache that cannot be written must not stop a run. */
  write(result: TopSvd): string | null
}

/** The place of one matrix; hashes it once. */
export function cacheEntry(location: CacheLocation, subject: CacheSubject): CacheEntry {
  refuseRank(subject.rows, subject.columns, subject.rank)
  const file = join(location.folder, fileName(subject))
  return {
    read: () => readEntry(file, subject),
    write: (result) => writeEntry(location, file, subject, result),
  }
}

function readEntry(file: string, { rows, columns, rank }: CacheSubject): TopSvd | null {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch {
    return null
  }
  const stored = parse(bytes, rows, columns)
  if (!stored) {
    discard(file)
    return null
  }
  if (stored.s.length < rank) return null
  touch(file)
  return {
    u: leadingColumns(stored.u, rows, stored.s.length, rank),
    s: stored.s.slice(0, rank),
    v: leadingColumns(stored.v, columns, stored.s.length, rank),
  }
}

function writeEntry(
  location: CacheLocation,
  file: string,
  subject: CacheSubject,
  result: TopSvd,
): string | null {
  const aside = `${file}.${process.pid}-${threadId}`
  try {
    mkdirSync(location.folder, { recursive: true })
    writeAll(aside, serialise(subject, result))
    renameSync(aside, file)
    prune(location, file)
    return null
  } catch (error) {
    discard(aside)
    return `the SVD cache ${location.folder} cannot be written: ${error instanceof Error ? error.message : error}`
  }
}

function fileName({ w, rows, columns, options }: CacheSubject): string {
  const hash = createHash('sha256').update(bytesOf(w)).digest('hex').slice(0, 32)
  return `${hash}-${rows}x${columns}-${variant(options)}.svd`
}

function variant(options: TopSvdOptions): string {
  switch (options.kind) {
    case 'full':
      return 'full'
    case 'randomized': {
      const { iterations = defaultIterations, oversample = 'auto', seed = 0 } = options
      return `randomized-${iterations}-${oversample}-${seed}`
    }
    default:
      return options.kind satisfies never
  }
}

function serialise({ rows, columns }: CacheSubject, { u, s, v }: TopSvd): Uint8Array[] {
  const numbers = [bytesOf(u), bytesOf(s), bytesOf(v)]
  const header = JSON.stringify({ version, rank: s.length, rows, columns, digest: digestOf(...numbers) })
  // Padded, so that the numbers start on a multiple of eight bytes and can be used where they lie.
  const line = header.padEnd(Math.ceil((header.length + 1) / 8) * 8 - 1)
  return [Buffer.from(`${line}\n`), ...numbers]
}

function writeAll(file: string, parts: readonly Uint8Array[]): void {
  const descriptor = openSync(file, 'w')
  try {
    for (const part of parts) writeFileSync(descriptor, part)
  } finally {
    closeSync(descriptor)
  }
}

/** Null where anything does not fit: another version, another shape, a cut or altered file. */
function parse(bytes: Buffer, rows: number, columns: number): TopSvd | null {
  const end = bytes.indexOf('\n')
  const header = headerSchema.safeParse(jsonOrNull(bytes.toString('utf8', 0, Math.max(end, 0))))
  if (!header.success || header.data.rows !== rows || header.data.columns !== columns) return null
  const { rank, digest } = header.data
  const numbers = bytes.subarray(end + 1)
  if (numbers.length !== 8 * rank * (rows + 1 + columns) || digestOf(numbers) !== digest) return null
  // A small file lies in a buffer that Node shares among many; it must not be handed to another thread.
  const own = numbers.buffer.byteLength === bytes.byteLength && numbers.byteOffset % 8 === 0
  const values = own
    ? new Float64Array(numbers.buffer, numbers.byteOffset, numbers.length / 8)
    : new Float64Array(Uint8Array.from(numbers).buffer)
  const [endOfU, endOfS] = [rows * rank, rows * rank + rank]
  return { u: values.subarray(0, endOfU), s: values.subarray(endOfU, endOfS), v: values.subarray(endOfS) }
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function digestOf(...parts: Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

function bytesOf(array: Float32Array | Float64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** The time of last use decides what goes first; a folder that cannot be changed only loses that order. */
function touch(file: string): void {
  try {
    const now = new Date()
    utimesSync(file, now, now)
  } catch {}
}

function discard(file: string): void {
  try {
    rmSync(file, { force: true })
  } catch {
    // A folder that cannot be changed keeps it; it is found damaged again next time.
  }
}

/** Removes the files used longest ago until the folder fits; the file just written stays. */
function prune({ folder, limitBytes }: CacheLocation, kept: string): void {
  const files = readdirSync(folder)
    .filter((name) => name.includes('.svd'))
    .map((name) => join(folder, name))
    .flatMap((path) => {
      const status = statSync(path, { throwIfNoEntry: false })
      return status ? [{ path, size: status.size, usedMs: status.mtimeMs }] : []
    })
    .sort((a, b) => a.usedMs - b.usedMs)
  let total = files.reduce((sum, file) => sum + file.size, 0)
  for (const { path, size } of files) {
    if (total <= limitBytes) return
    if (path === kept) continue
    rmSync(path, { force: true })
    total -= size
  }
}
