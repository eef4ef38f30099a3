/** One export after the fact: a checkpoint and a request become a folder, which is whole or not there. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { type ExportOutlook, type ExportRequest, RankscopeError } from '@rankscope/protocol'
import { folderBytes } from '../checkpoint-folders.ts'
import { noRoom, syncFolder } from '../durable-files.ts'
import { closeSpectra } from '../linalg/index.ts'
import type { Roots } from './environment.ts'
import { exportOutlook } from './export-outlook.ts'
import { openTrained } from './trained.ts'
import { writeExport } from './write-export.ts'

/** What of an export can be told to another process. */
export interface ExportOrder {
  readonly checkpoint: string
  readonly request: ExportRequest
  /** Where it goes: a folder that is not there yet; of no use to an outlook. */
  readonly folder: string
  readonly roots: Roots
  readonly threads: number
  readonly memoryBytes: number | null
}

export interface ExportResult {
  readonly step: number
  /** Null for an outlook. */
  readonly written: { readonly path: string; readonly bytes: number } | null
  readonly notes: readonly string[]
  readonly outlook: ExportOutlook | null
}

export type ExportProgress = (share: number | null, detail: string | null) => void

/** Throws a coded error, and leaves nothing behind then. */
export async function executeExport(order: ExportOrder, progress: ExportProgress): Promise<ExportResult> {
  const { checkpoint, request, folder, threads } = order
  if (request.as !== 'outlook' && existsSync(folder))
    throw new RankscopeError('FILE_UNUSABLE', `${folder} is there already`, {
      hint: 'Name a folder that does not exist: an export is written aside and then given its name.',
    })
  progress(null, 'loading the model')
  const notes: string[] = []
  const trained = await openTrained(
    checkpoint,
    order,
    (message) => notes.push(message),
    (done, total) => progress(done / total, 'loading the model'),
  )
  const { step } = trained
  const aside = `${folder}.partial`
  try {
    if (request.as === 'outlook')
      return { step, written: null, notes, outlook: await exportOutlook(trained, progress) }
    rmSync(aside, { recursive: true, force: true })
    mkdirSync(aside, { recursive: true })
    notes.push(...(await writeExport(trained, request, aside, { threads, room: noRoom, progress })))
    renameSync(aside, folder)
    syncFolder(dirname(folder))
    return { step, written: { path: folder, bytes: folderBytes(folder) }, notes, outlook: null }
  } catch (error) {
    rmSync(aside, { recursive: true, force: true })
    throw error
  } finally {
    trained.dispose()
    await closeSpectra()
  }
}
