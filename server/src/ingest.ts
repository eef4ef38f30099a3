/**
 * The way of a batch of records from a node to disk: parsed by schema, each record by itself, then kept once.
 * The answer is given after the commit.
 */
import {
  fromZodError,
  parseOrThrow,
  type RecordAck,
  type RunRecord,
  recordBatchSchema,
  runRecordSchema,
} from '@rankscope/protocol'
import { z } from 'zod'
import type { RunBook } from './runs/run-book.ts'

/** The batch around the records, whatever these are. */
const envelopeSchema = recordBatchSchema.extend({ records: z.array(z.unknown()).min(1).max(2000) })

/** MESSAGE_INVALID where not even the envelope fits; a record that does not fit is rejected by itself. */
export async function ingest(runs: RunBook, nodeId: string, message: unknown): Promise<RecordAck> {
  const batch = parseOrThrow(envelopeSchema, message, 'MESSAGE_INVALID', 'records')
  const rejected: RecordAck['rejected'] = []
  const records: RunRecord[] = []
  for (const item of batch.records) {
    const parsed = runRecordSchema.safeParse(item)
    if (parsed.success) records.push(parsed.data)
    else
      rejected.push({
        ...identity(item),
        code: 'MESSAGE_INVALID',
        message: fromZodError('MESSAGE_INVALID', 'record', parsed.error).message,
      })
  }
  if (records.length > 0) rejected.push(...(await runs.append(nodeId, records)).rejected)
  return { rejected }
}

/** What can be read of a broken record’s identity; 0 and '' stand for what cannot. */
function identity(item: unknown): { runId: string; attempt: number; seq: number } {
  const fields: Record<string, unknown> = typeof item === 'object' && item !== null ? { ...item } : {}
  const integer = (value: unknown) => (Number.isSafeInteger(value) ? (value as number) : 0)
  const { runId, attempt, seq } = fields
  return { runId: typeof runId === 'string' ? runId : '', attempt: integer(attempt), seq: integer(seq) }
}
