/** A sweep as the folder that experiments/src/sweep-archive.ts describes, file by file; no file grows with the length of a run. */
import {
  type ArchivedRun,
  archiveFileName,
  archiveResults,
  lineOfRecord,
  pointText,
  type RunFileName,
  reportFiles,
  runFileNames,
  type SweepArchive,
} from '@rankscope/experiments'
import type { StoredRecord, SweepPoint, SweepView } from '@rankscope/protocol'
import { isSuperseded } from '../runs/projection.ts'
import type { Store, StoredRun } from '../store/store.ts'
import type { ZippedFile } from './zip.ts'

/** Lines of one file at most, in characters. */
const pieceLength = 2 ** 20
const pageRecords = 500

type Sources = { store: Store; find: (runId: string) => StoredRun | undefined; commit: string | null }

export async function* sweepFolder(sweep: SweepView, sources: Sources): AsyncGenerator<ZippedFile> {
  const members = sweep.runs.flatMap(({ runId, point }) => {
    const run = sources.find(runId)
    return run ? [{ run, archived: archivedRun(run, point) }] : []
  })
  const archive: SweepArchive = {
    format: 'rankscope-sweep',
    version: 1,
    commit: sources.commit,
    sweep: sweep.spec,
    runs: members.map(({ archived }) => archived),
  }
  yield jsonFile(archiveFileName, archive)
  for (const [path, text] of Object.entries(reportFiles(sweep.spec, archiveResults(archive))))
    yield { path, content: Buffer.from(text) }
  for (const { run, archived } of members) {
    const folder = `runs/${archived.folder}`
    yield jsonFile(`${folder}/run.json`, archived.config)
    yield* linesOf(run, folder, sources.store)
    const { state, steps, error, summary, config } = archived
    yield jsonFile(`${folder}/summary.json`, {
      state,
      steps,
      error,
      summary,
      start: run.progress.start,
      config,
    })
  }
}

function archivedRun(run: StoredRun, point: SweepPoint): ArchivedRun {
  const { runId, config, state, progress, createdMs, startedMs, endedMs } = run
  const words = pointText(point)
    .replaceAll(/[^A-Za-z0-9.+-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 80)
  return {
    folder: `${words || 'run'}-${runId.slice(0, 8)}`,
    point,
    config,
    state,
    steps: progress.step,
    totalSteps: progress.totalSteps,
    createdMs,
    startedMs,
    endedMs,
    summary: progress.summary,
    error: progress.error,
  }
}

/** What a newer attempt took back is left out. */
async function* linesOf(run: StoredRun, folder: string, store: Store): AsyncGenerator<ZippedFile> {
  const pieces = new Map<RunFileName, { text: string; count: number }>(
    runFileNames.map((name) => [name, { text: '', count: 0 }]),
  )
  const closed = (name: RunFileName): ZippedFile => {
    const piece = pieces.get(name)!
    const content = Buffer.from(piece.text)
    piece.text = ''
    piece.count++
    return { path: `${folder}/${name}${piece.count === 1 ? '' : `-${piece.count}`}.jsonl`, content }
  }
  for (let cursor = 0; ; ) {
    const records: StoredRecord[] = await store.recordsAfter(run.runId, cursor, pageRecords)
    for (const { attempt, timeMs, body } of records) {
      const line = lineOfRecord(body, timeMs)
      const step = 'step' in body ? body.step : 0
      if (!line || isSuperseded(run.progress, attempt, step)) continue
      const piece = pieces.get(line.file)!
      piece.text += `${JSON.stringify(line.value)}\n`
      if (piece.text.length >= pieceLength) yield closed(line.file)
    }
    const last = records.at(-1)
    if (!last) break
    cursor = last.cursor
  }
  for (const [name, { text }] of pieces) if (text !== '') yield closed(name)
}

function jsonFile(path: string, value: unknown): ZippedFile {
  return { path, content: Buffer.from(`${JSON.stringify(value, null, 2)}\n`) }
}
