/**
 * Files that save work: made once, read again, forgotten when the folder grows too large. A file appears whole (written
 * aside, then renamed); what cannot be read or does not fit is treated as absent, and a cache that cannot be written must
 * not stop a run. Several processes may share a folder.
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
import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { threadId } from 'node:worker_threads'

export interface CacheLocation {
  readonly folder: string
  /** Size at which the files used longest ago go. */
  readonly limitBytes: number
}

export interface CacheFile {
  readonly header: unknown
  /** The bytes of the arrays, in memory that nothing else uses, from a multiple of eight on. */
  readonly body: Uint8Array<ArrayBuffer>
}

/** Null where the file is not there, or was cut or altered. */
export function readCacheFile(file: string): CacheFile | null {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch {
    return null
  }
  return checked(file, bytes)
}

/** The same, while this thread does something else. */
export async function readCacheFileAside(file: string): Promise<CacheFile | null> {
  let bytes: Buffer
  try {
    bytes = await readWhole(file)
  } catch {
    return null
  }
  return checked(file, bytes)
}

/** In one piece: `readFile` reads half a megabyte at a time, each in its own turn. */
async function readWhole(file: string): Promise<Buffer> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const bytes = Buffer.allocUnsafeSlow(size)
    const { bytesRead } = await handle.read(bytes, 0, size, 0)
    return bytes.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

function checked(file: string, bytes: Buffer): CacheFile | null {
  const end = Math.max(bytes.indexOf('\n'), 0)
  const [digest, text] = split(bytes.toString('utf8', 0, end))
  const body = ownBytes(bytes, end + 1)
  const header = digest === contentDigest(file, text, [body]) ? jsonOrNull(text) : null
  if (header === null) {
    discard(file)
    return null
  }
  touch(file)
  return { header, body }
}

/**
 * Writes a digest and a header in JSON as one line, padded so that what follows starts at a multiple of eight, and the bytes
 * of the arrays. The digest is of all of it and of the file's name: a file under another's name does not answer for it. Returns
 * what went wrong, or null. `family`: how the names of the files end that share the limit.
 */
export function writeCacheFile(
  { folder, limitBytes }: CacheLocation,
  file: string,
  header: unknown,
  arrays: readonly NumberArray[],
  family: string,
): string | null {
  const parts = arrays.map(bytesOf)
  const text = JSON.stringify(header)
  const line = `${contentDigest(file, text, parts)} ${text}`
  const length = Buffer.byteLength(line)
  const padded = line + ' '.repeat(Math.ceil((length + 1) / 8) * 8 - 1 - length)
  const aside = `${file}.${process.pid}-${threadId}`
  try {
    mkdirSync(folder, { recursive: true })
    writeAll(aside, [Buffer.from(`${padded}\n`), ...parts])
    renameSync(aside, file)
    prune(folder, limitBytes, family, file)
    return null
  } catch (error) {
    discard(aside)
    return `the cache ${folder} cannot be written: ${error instanceof Error ? error.message : error}`
  }
}

/** Takes a file away that does not say what it should. */
export function discard(file: string): void {
  try {
    rmSync(file, { force: true })
  } catch {
    // A folder that cannot be changed keeps it; it is found unfit again next time.
  }
}

export type NumberArray = Float32Array | Float64Array | Int32Array | Uint32Array

export function bytesOf(array: NumberArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** Of name, header and body, each of which ends where the next begins. */
function contentDigest(file: string, header: string, body: Iterable<Uint8Array>): string {
  return digestOf([`${basename(file)}\0${header}\0`, ...body])
}

function split(line: string): [digest: string, header: string] {
  const space = line.indexOf(' ')
  return [line.slice(0, Math.max(space, 0)), line.slice(space + 1).trimEnd()]
}

/** SHA-256, in hexadecimal digits. */
export function digestOf(parts: Iterable<Uint8Array | string>): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** A small file lies in a buffer that Node shares among many, at any place; it must not be handed to another thread. */
function ownBytes(bytes: Buffer, start: number): Uint8Array<ArrayBuffer> {
  const own = bytes.buffer.byteLength === bytes.byteLength && start % 8 === 0
  return own ? new Uint8Array(bytes.buffer as ArrayBuffer, start) : Uint8Array.from(bytes.subarray(start))
}

function writeAll(file: string, parts: readonly Uint8Array[]): void {
  const descriptor = openSync(file, 'w')
  try {
    for (const part of parts) writeFileSync(descriptor, part)
  } finally {
    closeSync(descriptor)
  }
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** The time of last use decides what goes first; a folder that cannot be changed only loses that order. */
function touch(file: string): void {
  try {
    const now = new Date()
    utimesSync(file, now, now)
  } catch {}
}

/** Removes the files used longest ago until the family fits; the file just written stays. */
function prune(folder: string, limitBytes: number, family: string, kept: string): void {
  const files = readdirSync(folder)
    .filter((name) => name.includes(family))
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
