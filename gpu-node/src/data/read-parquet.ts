/** The rows of a Parquet file as objects, one row group in memory at a time. */
import { isUtf8 } from 'node:buffer'
import type { FileHandle } from 'node:fs/promises'
import { RankscopeError } from '@rankscope/protocol'
import { type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { openDataFile } from './open-file.ts'
import type { PlacedValue } from './read-json.ts'

/** At most `limit` rows. Throws DATA_NOT_FOUND or DATA_BROKEN, naming file and row. */
export async function* readParquet(file: string, limit: number): AsyncGenerator<PlacedValue[]> {
  const { handle, bytes } = await openDataFile(file)
  try {
    const source = { byteLength: bytes, slice: (start: number, end = bytes) => slice(handle, start, end) }
    const metadata = await orBroken(file, () => parquetMetadataAsync(source))
    let row = 0
    for (const group of metadata.row_groups) {
      const end = Math.min(row + Number(group.num_rows), limit)
      if (end <= row) return
      yield await orBroken(file, () => rows(file, source, metadata, row, end))
      row = end
    }
  } finally {
    await handle.close()
  }
}

type Source = Parameters<typeof parquetMetadataAsync>[0]

/** Stands for text whose bytes are not UTF-8 until its row is known. */
const notText = Symbol('not UTF-8')

async function rows(file: string, source: Source, metadata: FileMetaData, rowStart: number, rowEnd: number) {
  let wrong = false
  const stringFromBytes = (bytes: Uint8Array | undefined) => {
    if (!bytes) return bytes
    if (isUtf8(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
    wrong = true
    return notText
  }
  const read = await parquetReadObjects({
    file: source,
    metadata,
    rowStart,
    rowEnd,
    compressors,
    parsers: { stringFromBytes },
  })
  return read.map((value, index): PlacedValue => {
    const place = `${file}, row ${rowStart + index + 1}`
    if (wrong && holds(value, notText))
      throw new RankscopeError('DATA_BROKEN', `${place}: a text is not UTF-8`, {
        hint: 'Write the file again from text in UTF-8.',
      })
    return { value: plain(value), place }
  })
}

/** Integers of 64 bits as numbers, as far as they are exact, and lists as arrays: what JSON would give. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return BigInt.asIntN(53, value) === value ? Number(value) : String(value)
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value as Int32Array, plain)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value ?? null
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]))
}

function holds(value: unknown, wanted: symbol): boolean {
  if (value === wanted) return true
  return (
    typeof value === 'object' && value !== null && Object.values(value).some((part) => holds(part, wanted))
  )
}

async function slice(handle: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(end - start)
  let done = 0
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done)
    if (bytesRead === 0) throw new Error(`the file ends at byte ${start + done}`)
    done += bytesRead
  }
  return bytes.buffer
}

async function orBroken<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    if (cause instanceof RankscopeError) throw cause
    throw new RankscopeError(
      'DATA_BROKEN',
      `${file}: not a whole Parquet file: ${(cause as Error).message}`,
      {
        hint: 'Copy or download the file again.',
        cause,
      },
    )
  }
}
