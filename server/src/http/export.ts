/** The file of all points of a run, as a stream: a piece is read when the one before was taken. */
import { Readable } from 'node:stream'
import type { ExportFormat, Store } from '../store/store.ts'

export const exportTypes: Record<ExportFormat, string> = {
  csv: 'text/csv; charset=utf-8',
  json: 'application/json; charset=utf-8',
  jsonl: 'application/x-ndjson; charset=utf-8',
}

export function exportScalars(
  store: Store,
  runId: string,
  format: ExportFormat,
  names: string[] | null,
): Readable {
  async function* pieces(): AsyncGenerator<string> {
    let position: string | null = null
    do {
      const piece: { text: string; next: string | null } = await store.exportPage(
        runId,
        format,
        names,
        position,
      )
      if (piece.text !== '') yield piece.text
      position = piece.next
    } while (position !== null)
  }
  return Readable.from(pieces(), { objectMode: false })
}
