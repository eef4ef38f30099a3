/** Reading of data files: JSON arrays and JSON lines, plain or gzipped, as parsed values with their place. */
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { RankscopeError } from '@rankscope/protocol'

export interface PlacedValue {
  readonly value: unknown
  /** Where it stands, for messages: `train.jsonl:17` or `train.json, record 17`. */
  readonly place: string
}

/** The bytes of a data file, unpacked where it is gzipped. Throws DATA_NOT_FOUND or DATA_BROKEN. */
export function readDataFile(file: string): Buffer {
  if (!existsSync(file))
    throw new RankscopeError('DATA_NOT_FOUND', `${file}: there is no such file`, {
      hint: 'Check the path; it is resolved on the machine that trains.',
    })
  const bytes = readFileSync(file)
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b
  try {
    return isGzip ? gunzipSync(bytes) : bytes
  } catch (cause) {
    throw new RankscopeError('DATA_BROKEN', `${file}: the gzip stream is damaged`, { cause })
  }
}

/**
 * The records of a file, at most `limit`: a JSON array where the first character is `[`, JSON lines otherwise
 * (blank lines count but hold no record). Throws DATA_BROKEN, naming file and line.
 */
export function readJsonRecords(file: string, limit = Number.POSITIVE_INFINITY): PlacedValue[] {
  const bytes = readDataFile(file)
  return firstCharacter(bytes) === '[' ? readArray(file, bytes, limit) : readJsonLines(file, bytes, limit)
}

function readArray(file: string, bytes: Buffer, limit: number): PlacedValue[] {
  try {
    const values = JSON.parse(bytes.toString('utf8')) as unknown[]
    return values.slice(0, limit).map((value, index) => ({ value, place: `${file}, record ${index + 1}` }))
  } catch (cause) {
    throw new RankscopeError('DATA_BROKEN', `${file}: not valid JSON: ${(cause as Error).message}`, { cause })
  }
}

/** Line by line over the bytes, since a large file exceeds the longest string. */
function readJsonLines(file: string, bytes: Buffer, limit: number): PlacedValue[] {
  const records: PlacedValue[] = []
  let line = 0
  for (let start = 0; start < bytes.length && records.length < limit; ) {
    const newline = bytes.indexOf(0x0a, start)
    const end = newline === -1 ? bytes.length : newline
    const text = bytes.toString('utf8', start, end).trim()
    start = end + 1
    line++
    if (text === '') continue
    const place = `${file}:${line}`
    try {
      records.push({ value: JSON.parse(text), place })
    } catch (cause) {
      throw new RankscopeError('DATA_BROKEN', `${place}: the line is not valid JSON`, {
        hint: 'Each line of a JSONL file is one complete JSON object.',
        cause,
      })
    }
  }
  return records
}

function firstCharacter(bytes: Buffer): string {
  return bytes
    .toString('utf8', 0, 64)
    .replace(/^\uFEFF/, '')
    .trimStart()
    .charAt(0)
}
