/**
 * The bytes of a data file, piece by piece, unpacked where it is gzipped: files larger than memory are read like small
 * ones. What cannot be read as a file (a folder, a pipe, a device) is refused before anything waits for it, and an archive
 * that unpacks to far more than it holds is given up.
 */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { RankscopeError } from '@rankscope/protocol'

const pieceBytes = 2 ** 20
/** An archive may unpack to this much, whatever its size … */
const unpackedBytes = 2 ** 30
/** … and beyond it to so many times its size: text packs to a third or a tenth, rarely to a fiftieth. */
const unpackedRatio = 200

export interface OpenedFile {
  readonly handle: FileHandle
  readonly bytes: number
  readonly format: 'plain' | 'gzip' | 'parquet'
}

/** Opens for reading; the caller closes. Throws DATA_NOT_FOUND or DATA_BROKEN, naming the file. */
export async function openDataFile(file: string): Promise<OpenedFile> {
  let handle: FileHandle
  try {
    // Without waiting: a pipe that nobody writes to would hold the run for ever.
    handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    throw cannotOpen(file, cause as NodeJS.ErrnoException)
  }
  try {
    const status = await handle.stat()
    if (!status.isFile()) {
      const what = status.isDirectory() ? 'a folder' : 'no regular file (a pipe, a socket or a device)'
      throw broken(file, `is ${what}`, 'Name one data file; several files are several sources of a mix.')
    }
    const head = Buffer.alloc(8)
    const { bytesRead } = await handle.read(head, 0, head.length, 0)
    return { handle, bytes: status.size, format: formatOf(file, head.subarray(0, bytesRead)) }
  } catch (error) {
    await handle.close()
    throw error instanceof RankscopeError ? error : cannotRead(file, error)
  }
}

/** The content, unpacked. Closes the file when the reader has had enough. Throws as `openDataFile`. */
export async function* readBytes(file: string): AsyncGenerator<Buffer> {
  const opened = await openDataFile(file)
  try {
    if (opened.format === 'parquet')
      throw broken(file, 'is a Parquet file, not text', 'Read it as a source of records or tokens.')
    yield* opened.format === 'gzip' ? unpacked(file, opened) : stored(file, opened)
  } finally {
    await opened.handle.close()
  }
}

async function* stored(file: string, { handle, bytes }: OpenedFile): AsyncGenerator<Buffer> {
  let position = 0
  for (;;) {
    const piece = Buffer.allocUnsafe(pieceBytes)
    let bytesRead: number
    try {
      bytesRead = (await handle.read(piece, 0, pieceBytes, position)).bytesRead
    } catch (cause) {
      throw cannotRead(file, cause)
    }
    if (bytesRead === 0) break
    position += bytesRead
    yield piece.subarray(0, bytesRead)
  }
  if (position < bytes) throw broken(file, `ended after ${position} of ${bytes} bytes: it was cut meanwhile`)
}

async function* unpacked(file: string, opened: OpenedFile): AsyncGenerator<Buffer> {
  const packed = Readable.from(stored(file, opened), { highWaterMark: 1 })
  const gunzip = createGunzip({ chunkSize: pieceBytes })
  packed.on('error', (error) => gunzip.destroy(error))
  packed.pipe(gunzip)
  const limit = Math.max(unpackedBytes, unpackedRatio * opened.bytes)
  let total = 0
  try {
    for await (const piece of gunzip as AsyncIterable<Buffer>) {
      total += piece.length
      if (total > limit)
        throw broken(
          file,
          `unpacks to more than ${limit} bytes, over ${unpackedRatio} times its own ${opened.bytes}`,
          `An archive may unpack to 1 GiB or ${unpackedRatio} times its size, whichever is more: unpack it first.`,
        )
      yield piece
    }
  } catch (cause) {
    if (cause instanceof RankscopeError) throw cause
    const cut = (cause as NodeJS.ErrnoException).code === 'Z_BUF_ERROR'
    const what = cut
      ? 'the gzip stream is cut short'
      : `the gzip stream is damaged: ${(cause as Error).message}`
    throw new RankscopeError('DATA_BROKEN', `${file}: ${what} (${total} bytes could be unpacked)`, {
      hint: 'Copy or download the file again.',
      cause,
    })
  } finally {
    packed.destroy()
    gunzip.destroy()
  }
}

/** What other programs pack or store, by the bytes that it begins with. */
const otherFormats: readonly (readonly [name: string, hexadecimal: string])[] = [
  ['a zip archive', '504b0304'],
  ['packed with zstd', '28b52ffd'],
  ['packed with xz', 'fd377a58'],
  ['packed with bzip2', '425a68'],
  ['an Arrow file', '4152524f5731'],
]

function formatOf(file: string, head: Buffer): OpenedFile['format'] {
  const begins = (hexadecimal: string) => head.toString('hex').startsWith(hexadecimal)
  if (begins('1f8b')) return 'gzip'
  if (begins('50415231')) return 'parquet'
  const other = otherFormats.find(([, bytes]) => begins(bytes))
  if (other)
    throw broken(file, `is ${other[0]}`, 'JSON, JSONL, CSV and text are read, also gzipped, and Parquet.')
  return 'plain'
}

function cannotOpen(file: string, cause: NodeJS.ErrnoException): RankscopeError {
  const { code } = cause
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ERR_INVALID_ARG_VALUE')
    return new RankscopeError('DATA_NOT_FOUND', `${file}: there is no such file`, {
      hint: 'Check the path; it is resolved on the machine that trains.',
    })
  if (code === 'EACCES' || code === 'EPERM')
    return new RankscopeError('DATA_BROKEN', `${file}: the file may not be read (${code})`, {
      hint: 'Let the user that the node runs as read it.',
      cause,
    })
  return cannotRead(file, cause)
}

function cannotRead(file: string, cause: unknown): RankscopeError {
  return new RankscopeError('DATA_BROKEN', `${file}: cannot be read: ${(cause as Error).message}`, { cause })
}

function broken(file: string, what: string, hint?: string): RankscopeError {
  return new RankscopeError('DATA_BROKEN', `${file}: ${what}`, hint === undefined ? {} : { hint })
}
