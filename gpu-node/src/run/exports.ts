/** What a finished run leaves behind, where its configuration asks for it: model, adapters, ΔW itself. */
import { join } from 'node:path'
import { type ExportRequest, exportRequestSchema } from '@rankscope/protocol'
import { folderBytes } from '../checkpoint-folders.ts'
import { roomOnDisk } from './disk-room.ts'
import type { RunEnvironment } from './environment.ts'
import type { PreparedRun } from './prepare.ts'
import { writeExport } from './write-export.ts'

type Written = Exclude<ExportRequest, { as: 'outlook' }>

const titles: Record<Written['as'], string> = {
  model: 'model',
  adapter: 'adapter',
  delta: 'ΔW',
  lora: 'truncated LoRA',
}

export async function exportArtifacts(prepared: PreparedRun, environment: RunEnvironment): Promise<void> {
  const { emit, folder, threads } = environment
  const room = roomOnDisk(environment)
  for (const request of requestsOf(prepared)) {
    const title = titles[request.as]
    const tell = (progress: number | null, detail: string | null) =>
      emit({
        kind: 'phase',
        phase: 'exporting',
        progress,
        detail: detail === null ? title : `${title}, ${detail}`,
      })
    tell(null, null)
    const path = join(folder, request.as)
    const notes = await writeExport(prepared, request, path, { threads, room, progress: tell })
    for (const message of notes) emit({ kind: 'log', level: 'info', message })
    emit({ kind: 'artifact', artifact: request.as, path, bytes: folderBytes(path) })
  }
}

function requestsOf({ config, adaptation }: PreparedRun): Written[] {
  const { model, adapter, delta, loraRank } = config.export
  const wanted = [
    ...(model ? [{ as: 'model' }] : []),
    // Asked for where there is none: a warning at the start said so.
    ...(adapter && adaptation.adapter ? [{ as: 'adapter' }] : []),
    ...(delta ? [{ as: 'delta' }] : []),
    ...(loraRank === null ? [] : [{ as: 'lora', rank: loraRank }]),
  ]
  return wanted.map((request) => exportRequestSchema.parse(request) as Written)
}
