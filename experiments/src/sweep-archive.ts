/**
 * The folder of a sweep, with which it goes to another machine: what was asked, what came out, and what is written about it.
 *
 *     archive.json        this description: the sweep, its runs with their configurations and summaries, the commit
 *     results.csv         every run; results.md and results.tex: every line at its best setting
 *     figures/*.svg       for print, each with its caption
 *     runs/NAME/          run.json, summary.json and the lines of run-lines.ts, in pieces of at most some megabytes:
 *                         metrics.jsonl, metrics-2.jsonl, …
 *
 * `npm run train -- --sweep` writes the same folder. Models, adapters and checkpoints stay where they are.
 */
import {
  errorPayloadSchema,
  jsonNumber,
  type RunState,
  runConfigSchema,
  runStates,
  type SweepSpec,
  sweepPointSchema,
  sweepSpecSchema,
} from '@rankscope/protocol'
import { z } from 'zod'
import { type RunFileName, runFileNames } from './run-lines.ts'
import { sweepFigures } from './sweep-plots.ts'
import { type RunResult, runResult } from './sweep-results.ts'
import { bestTable, runsTable } from './sweep-table.ts'
import { toCsv, toLatex, toMarkdown } from './tables.ts'

export const archiveFileName = 'archive.json'

/** A folder’s name: nothing that leads out of it. */
const folderName = z
  .string()
  .min(1)
  .max(160)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._+-]*$/, 'a plain name of a folder')

export const sweepArchiveSchema = z.strictObject({
  format: z.literal('rankscope-sweep'),
  version: z.literal(1),
  /** Of the sources that made it, with `+` behind it where they were changed; null where that is not known. */
  commit: z.string().max(80).nullable(),
  sweep: sweepSpecSchema,
  runs: z
    .array(
      z.strictObject({
        folder: folderName,
        point: sweepPointSchema,
        config: runConfigSchema,
        state: z.enum(runStates),
        steps: z.int().min(0),
        totalSteps: z.int().min(0).nullable(),
        /** Times of the machine that ran it; null where they were not kept. */
        createdMs: z.number().nullable(),
        startedMs: z.number().nullable(),
        endedMs: z.number().nullable(),
        summary: z.record(z.string(), jsonNumber.nullable()).nullable(),
        error: errorPayloadSchema.nullable(),
      }),
    )
    .min(1)
    .max(4096),
})
export type SweepArchive = z.output<typeof sweepArchiveSchema>
export type ArchivedRun = SweepArchive['runs'][number]

export function archiveResults({ sweep, runs }: Pick<SweepArchive, 'sweep' | 'runs'>): RunResult[] {
  return runs.map(({ folder, point, config, state, summary, error }) =>
    runResult({ runId: folder, state, config, summary, error }, point, sweep.metric),
  )
}

/** Tables and figures, by the name of their file. */
export function reportFiles(spec: SweepSpec, results: readonly RunResult[]): Record<string, string> {
  const best = bestTable(spec, results)
  return {
    'results.csv': toCsv(runsTable(spec, results)),
    'results.md': toMarkdown(best),
    'results.tex': toLatex(best),
    ...Object.fromEntries(
      Object.entries(sweepFigures(spec, results)).map(([name, text]) => [`figures/${name}`, text]),
    ),
  }
}

/** `runs/NAME/metrics-2.jsonl`; null for a file that holds no lines of records. */
export function linesFile(path: string): { folder: string; file: RunFileName } | null {
  const found = /^runs\/([^/]+)\/([a-z]+)(?:-\d+)?\.jsonl$/.exec(path)
  const file = runFileNames.find((name) => name === found?.[2])
  return found && file ? { folder: found[1]!, file } : null
}

/** What a run that was not over becomes on another machine: stopped, and free to be run there. */
export function importedState(state: RunState): 'finished' | 'failed' | 'stopped' {
  return state === 'finished' || state === 'failed' ? state : 'stopped'
}
