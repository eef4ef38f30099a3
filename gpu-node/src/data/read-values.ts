/** The records of a data file, whatever its format: JSON, JSONL, CSV (these also gzipped) or Parquet. */
import { openDataFile } from './open-file.ts'
import { isCsv, readCsv } from './read-csv.ts'
import { type PlacedValue, readJson } from './read-json.ts'
import { readParquet } from './read-parquet.ts'

/**
 * At most `limit` values, in parts as they come; what lies behind is not read. Throws DATA_NOT_FOUND, or DATA_BROKEN
 * naming file and line.
 */
export async function* readValues(
  file: string,
  limit = Number.POSITIVE_INFINITY,
): AsyncGenerator<PlacedValue[]> {
  let left = limit
  for await (const values of await reader(file, limit)) {
    yield values.length > left ? values.slice(0, left) : values
    left -= values.length
    if (left <= 0) return
  }
}

async function reader(file: string, limit: number): Promise<AsyncGenerator<PlacedValue[]>> {
  const { handle, format } = await openDataFile(file)
  await handle.close()
  if (format === 'parquet') return readParquet(file, limit)
  return isCsv(file) ? readCsv(file) : readJson(file)
}
