/** The rows of a CSV or TSV file as objects of text, by the names in its first line. */
import { Readable } from 'node:stream'
import { RankscopeError } from '@rankscope/protocol'
import { CsvError, parse } from 'csv-parse'
import type { PlacedValue } from './read-json.ts'
import { longestRecord, readText } from './read-text.ts'

const rowsAtOnce = 256

/** Whether a file is one, which only its name says. */
export function isCsv(file: string): boolean {
  return /\.(csv|tsv)(\.gz)?$/i.test(file)
}

/** Throws DATA_NOT_FOUND or DATA_BROKEN, naming file and line: of a row with too few or too many cells, too. */
export async function* readCsv(file: string): AsyncGenerator<PlacedValue[]> {
  const rows = parse({
    delimiter: /\.tsv(\.gz)?$/i.test(file) ? '\t' : ',',
    columns: (names: string[]) => columns(file, names),
    skip_empty_lines: true,
    info: true,
    raw: true,
    max_record_size: longestRecord,
  })
  const source = Readable.from(texts(file), { highWaterMark: 1 })
  source.on('error', (error) => rows.destroy(error))
  source.pipe(rows)
  let held: PlacedValue[] = []
  try {
    for await (const { record, raw, info } of rows as AsyncIterable<Row>) {
      // The count stands at the row's last line.
      const line = info.lines - (raw.trimEnd().split('\n').length - 1)
      held.push({ value: { ...record }, place: `${file}:${line}` })
      if (held.length < rowsAtOnce) continue
      yield held
      held = []
    }
    yield held
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause
    const line = (cause as CsvError & { lines?: number }).lines
    throw new RankscopeError('DATA_BROKEN', `${file}:${line ?? '?'}: ${cause.message}`, {
      hint: 'Each row has as many cells as the first line has names; quotes in a quoted cell are doubled.',
      cause,
    })
  } finally {
    source.destroy()
    rows.destroy()
  }
}

interface Row {
  record: Record<string, string>
  raw: string
  info: { lines: number }
}

async function* texts(file: string): AsyncGenerator<string> {
  for await (const { text } of readText(file)) if (text !== '') yield text
}

function columns(file: string, names: string[]): string[] {
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined)
    throw new RankscopeError('DATA_BROKEN', `${file}:1: the first line names the column "${twice}" twice`, {
      hint: 'The first line of a CSV file names its columns.',
    })
  return names
}
