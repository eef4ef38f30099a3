/** Inputs that once went wrong, of the shared material's folder `faults`, run as a whole. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RecordBody, type RecordBodyOf, type RecordKind, runConfigSchema } from '@rankscope/protocol'
import { executeRun, RunControl } from '../run/run.ts'
import { sharedPath } from './shared-material.ts'

/** Suffix of a test's name that says why it is skipped; null where the inputs are there. */
export const faultsMissing: string | null = existsSync(sharedPath('faults'))
  ? null
  : `skipped: no inputs at ${sharedPath('faults')}`

/** Trains the input `name` with its `run.json`; what came out, its records by kind, its losses in order. */
export async function runFault(name: string, changes: object = {}) {
  const input = sharedPath('faults', name)
  const text = readFileSync(join(input, 'run.json'), 'utf8').replaceAll('INPUT', input)
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-fault-'))
  const records: RecordBody[] = []
  const outcome = await executeRun(runConfigSchema.parse({ ...JSON.parse(text), ...changes }), {
    roots: { models: [], data: [], anywhere: true },
    folder,
    cacheFolder: null,
    threads: 1,
    memoryBytes: 4 * 2 ** 30,
    checkpointFrom: null,
    control: new RunControl(),
    emit: (body) => void records.push(body),
  })
  rmSync(folder, { recursive: true })
  const all = <K extends RecordKind>(kind: K) =>
    records.filter((body): body is RecordBodyOf<K> => body.kind === kind)
  const losses = all('scalars').flatMap(({ values }) => values['train/loss'] ?? [])
  return { outcome, all, losses, warnings: all('start')[0]?.warnings ?? [] }
}
