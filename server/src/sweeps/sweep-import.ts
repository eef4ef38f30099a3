/**
 * A sweep from another machine: its runs appear as they ended there, with every record. What arrives is parsed before
 * anything is kept; a zip that turns out broken later leaves what came before, and the same one again completes it.
 */
import { createHash } from 'node:crypto'
import {
  type ArchivedRun,
  archiveFileName,
  linesFile,
  recordOfLine,
  type SweepArchive,
  sweepArchiveSchema,
} from '@rankscope/experiments'
import {
  fromJsonNumber,
  parseOrThrow,
  RankscopeError,
  type RunRecord,
  recordBodySchema,
} from '@rankscope/protocol'
import type { RunBook } from '../runs/run-book.ts'
import type { SweepBook } from './sweep-book.ts'
import { unzipped } from './zip.ts'

/** Stands where a run names its node. */
export const importedNodeId = 'imported'
const batchRecords = 500

type Targets = { sweeps: SweepBook; runs: RunBook; nowMs: number }
type Member = { runId: string; archived: ArchivedRun; seq: number; timeMs: number }

/** Returns the sweep’s id. MESSAGE_INVALID where the zip is none of a sweep. */
export async function importSweep(bytes: AsyncIterable<Uint8Array>, targets: Targets): Promise<string> {
  let members: Map<string, Member> | null = null
  let sweepId = ''
  for await (const { path, content } of unzipped(bytes)) {
    if (members === null) {
      if (path !== archiveFileName) throw noArchive(path)
      const archive = readArchive(content)
      const digest = createHash('sha256').update(content).digest('base64url')
      const made = await targets.sweeps.import(digest, archive, importedNodeId, targets.nowMs)
      sweepId = made.sweepId
      members = new Map(
        archive.runs.flatMap((archived, index) => {
          const runId = made.runIds[index]
          const member = { archived, seq: 0, timeMs: archived.startedMs ?? targets.nowMs }
          return runId === undefined ? [] : [[archived.folder, { runId, ...member }] as const]
        }),
      )
      for (const member of members.values()) await keep(targets.runs, summaryOf(member, archive))
      continue
    }
    const lines = linesFile(path)
    const member = lines && members.get(lines.folder)
    if (!lines || !member) continue
    let batch: RunRecord[] = []
    for (const [index, line] of content.toString().split('\n').entries()) {
      if (line === '') continue
      const record = readLine(line, lines.file, `${path}, line ${index + 1}`, member)
      if (record) batch.push(record)
      if (batch.length < batchRecords) continue
      await keep(targets.runs, batch)
      batch = []
    }
    await keep(targets.runs, batch)
  }
  if (members === null) throw noArchive('nothing')
  return sweepId
}

function readArchive(content: Uint8Array): SweepArchive {
  return parseOrThrow(
    sweepArchiveSchema,
    json(Buffer.from(content).toString(), archiveFileName),
    'MESSAGE_INVALID',
    archiveFileName,
  )
}

/** The record of a line; null for what says nothing here: files and states of the other machine. */
function readLine(
  line: string,
  file: Parameters<typeof recordOfLine>[0],
  subject: string,
  member: Member,
): RunRecord | null {
  const value = json(line, subject)
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new RankscopeError('MESSAGE_INVALID', `${subject} holds no object`)
  const { body, timeMs } = recordOfLine(file, value as Record<string, unknown>, subject)
  // Every line has its number, also one that is left out: the same zip again gives the same records.
  member.seq++
  // Files of older versions tell no time: the steps’ own durations, added up, come nearest.
  const stepMs = body.kind === 'scalars' ? (body.values['train/stepTimeMs'] ?? 0) : 0
  member.timeMs = timeMs ?? member.timeMs + (Number.isFinite(stepMs) ? stepMs : 0)
  if (body.kind === 'lifecycle' || body.kind === 'checkpoint' || body.kind === 'artifact') return null
  return { runId: member.runId, attempt: 1, seq: member.seq, timeMs: member.timeMs, body }
}

/** Where it comes from, and what it came to. */
function summaryOf(member: Member, { commit }: SweepArchive): RunRecord[] {
  const { runId, archived } = member
  const record = (body: unknown): RunRecord => ({
    runId,
    attempt: 1,
    seq: ++member.seq,
    timeMs: archived.endedMs ?? member.timeMs,
    body: parseOrThrow(recordBodySchema, body, 'MESSAGE_INVALID', `${archived.folder} in ${archiveFileName}`),
  })
  const origin = commit === null ? 'sources of an unknown commit' : `the sources of commit ${commit}`
  const message = `imported: this run was ${archived.state} on another machine, by ${origin}`
  const summary = archived.summary && {
    kind: 'summary',
    ...Object.fromEntries(
      Object.entries(archived.summary).map(([name, value]) => [
        name,
        value === null ? null : fromJsonNumber(value),
      ]),
    ),
  }
  return [record({ kind: 'log', level: 'info', message }), ...(summary ? [record(summary)] : [])]
}

async function keep(runs: RunBook, records: RunRecord[]): Promise<void> {
  if (records.length === 0) return
  const { rejected } = await runs.append(importedNodeId, records)
  // Of a run that was deleted or started again meanwhile nothing more is taken.
  const fault = rejected.find(({ code }) => code !== 'STALE_ATTEMPT' && code !== 'NOT_FOUND')
  if (fault) throw new RankscopeError(fault.code, fault.message)
}

function json(text: string, subject: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RankscopeError('MESSAGE_INVALID', `${subject} is no JSON`, { cause })
  }
}

function noArchive(found: string): RankscopeError {
  return new RankscopeError('MESSAGE_INVALID', `the zip begins with ${found}, not with ${archiveFileName}`, {
    hint: 'take a zip that “Save everything” or npm run sweep -- export made',
  })
}
